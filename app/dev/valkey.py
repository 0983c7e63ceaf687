"""A local Valkey (or Redis) server: a cache with a password on loopback that starts empty every time."""

import signal
import socket
import time
from pathlib import Path
from subprocess import PIPE

from app.dev.binaries import valkey_for
from app.dev.folder import ServerFolder
from app.dev.ports import LOOPBACK, free_port
from app.dev.processes import Child, StopStep, spawn
from app.errors import StartupError

READY_WAIT_S = 20.0
BIND_TRIES = 5

_POLL_S = 0.005
_PROBE_TIMEOUT_S = 1.0
_LOG_LINES_SHOWN = 3


class ValkeyServer:
    """One server. `launch` begins, `wait` completes, `stop` ends."""

    name = "Valkey"

    def __init__(self, folder: ServerFolder) -> None:
        self._folder = folder
        self._log = folder.path / "valkey.log"
        self._program = valkey_for(folder.owner)
        secrets = folder.secrets()
        self._password: str = secrets["valkey_password"]
        self._child: Child | None = None
        self.port = free_port(secrets.get("valkey_port"))

    @property
    def url(self) -> str:
        """URL of database 0."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._child.pid if self._child is not None else None

    @property
    def has_ended(self) -> bool:
        """Whether the server ended without being stopped."""
        return self._child is not None and self._child.exit_code() is not None

    def launch(self) -> None:
        """Begin to start, empty."""
        configuration = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self._password,
            "dir": str(self._folder.owned_folder("valkey")),
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
            "loglevel": "warning",
        }
        with self._log.open("wb") as log:
            child = spawn(
                "valkey",
                (self._program, "-"),
                environment={"LC_ALL": "C", "TZ": "UTC"},
                owner=self._folder.owner,
                stdin=PIPE,
                stdout=log,
                stderr=log,
            )
        self._child = child
        # Over a pipe, so that the password stands neither in a file nor in the process list.
        child.feed("".join(f"{name} {value}\n" for name, value in configuration.items()).encode())

    def wait(self) -> None:
        """Return when the server answers. Raises StartupError with the end of its log."""
        for _ in range(BIND_TRIES):
            if self._child is not None and self._became_ready(self._child):
                self._folder.remember(valkey_port=self.port)
                return
            self.port = free_port()
            self.launch()
        raise StartupError(f"Valkey found no free port in {BIND_TRIES} tries")

    def stop(self) -> None:
        """Stop the server."""
        if self._child is not None:
            self._child.stop(StopStep(signal.SIGTERM, 5.0))
            self._child = None

    def _became_ready(self, child: Child) -> bool:
        """Wait for the server; False when it ended because its port was taken."""
        deadline = time.monotonic() + READY_WAIT_S
        while not self._answers():
            if child.exit_code() is not None:
                text = self._log.read_text(errors="replace")
                if "Address already in use" in text:
                    return False
                raise StartupError(f"Valkey did not start: {_end_of(self._log)}")
            if time.monotonic() > deadline:
                raise StartupError(f"Valkey was not ready within {READY_WAIT_S:.0f} s: {_end_of(self._log)}")
            time.sleep(_POLL_S)
        return True

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), _PROBE_TIMEOUT_S) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                # The random password proves that it is this server and not another on the same port.
                return connection.recv(64).startswith(b"+OK")
        except OSError:
            return False


def _end_of(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
