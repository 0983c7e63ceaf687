"""A whole exchange to measure: local servers, `orderwire dev --no-demo` on them, and what its processes cost.

The servers are started here and handed over by URL, so that the same PostgreSQL can be asked for its own
speed. Everything runs on loopback and ends with this process.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from app.dev.credentials import Credentials
from app.dev.ports import free_port, is_free
from app.dev.servers import LocalServers
from app.errors import StartupError
from benchmarks.figures import REPOSITORY

REPLICAS = 2
STOP_TIMEOUT_S = 30.0
PORT_TRIES = 50
ROLES = {"ow-engine": "engine", "ow-api": "replicas", "ow-worker": "worker", "postgres": "postgresql"}
"""Name of a process, as the system shows it, to the part it plays; anything else is `other`."""
CpuTimes = dict[int, tuple[str, float]]
"""Part and CPU seconds so far, by process id."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PARENT, _USER_TICKS, _SYSTEM_TICKS = 1, 11, 12
"""Places in /proc/PID/stat, counted from the state after the name."""


class Exchange:
    """Servers and roles as processes. A context manager."""

    def __init__(self) -> None:
        self._servers = LocalServers()
        self._folder = tempfile.TemporaryDirectory(prefix="orderwire-bench-")
        self._process: subprocess.Popen[bytes] | None = None
        self.rest: list[str] = []
        self.streams: list[str] = []
        self.administrator = Credentials("", "", "")

    @property
    def database_url(self) -> str:
        """PostgreSQL URL of a superuser."""
        return self._servers.database_url

    def __enter__(self) -> Self:
        """Start everything; returns when orders are taken."""
        self._servers.start()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def cpu_times(self) -> CpuTimes:
        """Return the CPU time of every process so far; nothing where the system does not tell."""
        roots = [] if self._process is None else [self._process.pid]
        return cpu_times_of([*roots, *self._servers.pids])

    def _start(self) -> None:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {
            "PYTHONPATH": str(REPOSITORY),
            "DATABASE_URL": self._servers.database_url,
            "REDIS_URL": self._servers.redis_url,
            # The limit protects a replica from one client; here that client is the load.
            "ORDERWIRE_STREAM_MESSAGES_PER_S": "0",
        }
        port = free_ports(REPLICAS)
        options = ("--no-demo", "--json", "--port", str(port), "--replicas", str(REPLICAS))
        errors = (Path(self._folder.name) / "errors.txt").open("wb")
        with errors:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and package
                [sys.executable, "-m", "app", "dev", *options],
                cwd=self._folder.name,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        facts = json.loads(_first_line(self._process.stdout) or "null")
        if facts is None:
            raise StartupError(f"the exchange did not start:\n{Path(errors.name).read_text()[-3000:]}")
        self.rest, self.streams = facts["rest"], facts["ws"]
        self.administrator = Credentials(**facts["accounts"]["admin"])

    def _stop(self) -> None:
        process, self._process = self._process, None
        try:
            if process is not None:
                _end(process)
        finally:
            self._servers.stop()
            self._folder.cleanup()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def free_ports(count: int) -> int:
    """Return the first of `count` neighboring free ports."""
    for _ in range(PORT_TRIES):
        first = free_port()
        if all(is_free(first + offset) for offset in range(1, count)):
            return first
    raise OSError("there are no neighboring free ports")


def cpu_times_of(roots: list[int]) -> CpuTimes:
    """Return part and CPU seconds of processes and all their descendants."""
    known: dict[int, tuple[int, str, float]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        seconds = (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_PER_S
        known[int(entry.name)] = (int(fields[_PARENT]), name, seconds)
    found: CpuTimes = {}
    for pid, (_, name, seconds) in known.items():
        ancestor = pid
        while ancestor in known and ancestor not in roots:
            ancestor = known[ancestor][0]
        if ancestor in roots:
            part = ROLES.get(name, "valkey" if name.startswith("valkey") else "other")
            found[pid] = (part, seconds)
    return found


def cpu_seconds_between(before: CpuTimes, after: CpuTimes) -> dict[str, float]:
    """Return the CPU seconds of each part between two looks; a process that ended meanwhile is not counted."""
    found: dict[str, float] = {}
    for pid, (part, seconds) in after.items():
        found[part] = found.get(part, 0.0) + seconds - before.get(pid, (part, 0.0))[1]
    return found


def _first_line(stdout: "IO[Any] | None") -> bytes:
    return b"" if stdout is None else bytes(stdout.readline())
