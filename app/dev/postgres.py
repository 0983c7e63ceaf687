"""A local PostgreSQL server: made, started, recovered after a kill, stopped.

Durable as in production (fsync, synchronous_commit and full_page_writes on: the engine refuses less),
reachable over loopback with a password only. The caller's thread must be the main thread.
"""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

from app.dev.binaries import postgres_for
from app.dev.folder import ServerFolder
from app.dev.ports import LOOPBACK, free_port
from app.dev.processes import Child, StopStep, command_line, is_running, spawn
from app.errors import StartupError

INITDB_WAIT_S = 60.0
READY_WAIT_S = 60.0
"""A server that was killed replays its log first."""
PREDECESSOR_WAIT_S = 5.0
"""How long a server that is still stopping may keep the data."""
BIND_TRIES = 5
USER = "postgres"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}

SHARED_MEMORY_LISTING = Path("/proc/sysvipc/shm")

_POLL_S = 0.005
_LOG_LINES_SHOWN = 5
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


class PostgresServer:
    """One server on one data folder. `launch` begins, `wait` completes, `stop` ends."""

    name = "PostgreSQL"

    def __init__(self, folder: ServerFolder) -> None:
        self._folder = folder
        self._data = folder.path / "postgres"
        self._log = folder.path / "postgres.log"
        self._programs = postgres_for(folder.owner)
        self._secrets = folder.secrets()
        self._child: Child | None = None
        self._maker: Child | None = None
        self.port = free_port(self._secrets.get("postgres_port"))

    @property
    def url(self) -> str:
        """URL of the superuser on the maintenance database."""
        return f"postgresql://{USER}:{self._secrets['postgres_password']}@{LOOPBACK}:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._child.pid if self._child is not None else None

    @property
    def has_ended(self) -> bool:
        """Whether the server ended without being stopped."""
        return self._child is not None and self._child.exit_code() is not None

    def launch(self) -> None:
        """Begin: make the data folder when there is none, else start the server."""
        if self._data.exists():
            clear_stale_lock(self._data)
            self._start()
        else:
            self._make()

    def wait(self) -> None:
        """Return when the server accepts connections. Raises StartupError with the end of its log."""
        if self._maker is not None:
            self._finish_making(self._maker)
            self._start()
        for _ in range(BIND_TRIES):
            if self._child is not None and self._became_ready(self._child):
                self._folder.remember(postgres_port=self.port)
                return
            # Somebody took the port between our look and the server's bind.
            self.port = free_port()
            self._start()
        raise StartupError(f"PostgreSQL found no free port in {BIND_TRIES} tries")

    def stop(self) -> None:
        """Stop the server and everything it started."""
        if self._maker is not None:
            self._maker.stop(StopStep(signal.SIGTERM, 5.0))
            self._maker = None
        if self._child is not None:
            # A temporary server needs no checkpoint; both signals end all backends.
            first = signal.SIGQUIT if self._folder.temporary else signal.SIGINT
            self._child.stop(StopStep(first, 10.0), StopStep(signal.SIGQUIT, 10.0))
            self._child = None

    def _make(self) -> None:
        # Made aside and renamed, so a killed start leaves no half-made data under the final name.
        aside = self._folder.owned_folder("postgres.new")
        password_file = self._folder.owned_folder("password") / "text"
        password_file.write_text(self._secrets["postgres_password"])
        if self._folder.owner is not None:
            os.chown(password_file, *self._folder.owner)
        password_file.chmod(0o600)
        options = ("--no-sync", "--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", f"--username={USER}")
        command = (self._programs / "initdb", f"--pgdata={aside}", f"--pwfile={password_file}", *options)
        self._maker = self._spawn("initdb", command, signal.SIGKILL)

    def _finish_making(self, maker: Child) -> None:
        code = maker.wait(INITDB_WAIT_S)
        self._maker = None
        shutil.rmtree(self._folder.path / "password", ignore_errors=True)
        if code != 0:
            maker.stop()
            raise StartupError(
                f"initdb failed ({'too slow' if code is None else f'exit code {code}'}): {self._log_end()}"
            )
        (self._folder.path / "postgres.new").rename(self._data)

    def _start(self) -> None:
        settings = SETTINGS | {"port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # SIGQUIT: stop at once without a checkpoint, taking every backend along; the log is replayed next time.
        self._child = self._spawn("postgres", (self._programs / "postgres", "-D", self._data, *options), signal.SIGQUIT)

    def _spawn(self, name: str, command: tuple[str | Path, ...], death_signal: int) -> Child:
        environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        environment |= {"LC_ALL": "C", "TZ": "UTC"}
        with self._log.open("wb") as log:
            return spawn(
                name,
                command,
                environment=environment,
                owner=self._folder.owner,
                death_signal=death_signal,
                stdout=log,
                stderr=log,
            )

    def _became_ready(self, child: Child) -> bool:
        """Wait for the server; False when it ended because its port was taken."""
        deadline = time.monotonic() + READY_WAIT_S
        while not _says_ready(self._data, self.port):
            if child.exit_code() is not None:
                if "could not bind" in self._log.read_text(errors="replace"):
                    return False
                raise StartupError(f"PostgreSQL did not start: {self._log_end()}")
            if time.monotonic() > deadline:
                raise StartupError(f"PostgreSQL was not ready within {READY_WAIT_S:.0f} s: {self._log_end()}")
            time.sleep(_POLL_S)
        return True

    def _log_end(self) -> str:
        with contextlib.suppress(OSError):
            lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
            return " | ".join(lines[-_LOG_LINES_SHOWN:])
        return "no log"


def _says_ready(data: Path, port: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    # Lines: pid, data folder, start time, port, socket folder, address, shared memory, status.
    return len(lines) >= 8 and lines[3] == str(port) and lines[7].strip() == "ready"


def clear_stale_lock(data: Path) -> None:
    """Remove the lock file of a server that is gone, a zombie, or some other program under a reused process id.

    Waits up to PREDECESSOR_WAIT_S for one that is alive, or whose backends still hold its shared
    memory: starting beside them would damage the data. Raises StartupError naming the process.
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + PREDECESSOR_WAIT_S
    while True:
        try:
            lines = lock.read_text().splitlines()
        except FileNotFoundError:
            return
        pid = int(lines[0]) if lines and lines[0].lstrip("-").isdigit() else 0
        memory_id = lines[6].split()[-1] if len(lines) > 6 and lines[6].split() else ""
        if not _is_server_of(pid, data) and not _is_attached(memory_id):
            lock.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            raise StartupError(f"the data in {data} is in use by PostgreSQL process {pid}")
        time.sleep(0.05)


def _is_server_of(pid: int, data: Path) -> bool:
    # The first line is negative for a single-user server.
    pid = abs(pid)
    return pid != 0 and is_running(pid) and str(data) in command_line(pid)


def _is_attached(memory_id: str) -> bool:
    """Return whether a process has the System V segment mapped; where the kernel does not list them, no."""
    try:
        rows = SHARED_MEMORY_LISTING.read_text().splitlines()[1:]
    except OSError:
        return False
    # Columns: key, id, permissions, size, creator, last, number of attached processes.
    return any(row.split()[1] == memory_id and int(row.split()[6]) > 0 for row in rows)
