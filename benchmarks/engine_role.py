"""One engine on local servers, without replicas or worker: what the link, the sequencer and the journal cost."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from app.dev.servers import LocalServers
from app.dev.state import DevState
from app.errors import StartupError
from app.load.run import LinkPlace
from app.storage.database import asyncpg_dsn
from app.storage.migrate import upgrade
from benchmarks.exchange import CpuTimes, cpu_times_of
from benchmarks.figures import REPOSITORY

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.01
PASSED_ON = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")


class EngineServers:
    """Servers with a migrated database; engines of any shard run on them. A context manager."""

    def __init__(self) -> None:
        self._servers = LocalServers()
        self._secrets = DevState(None, demo=False).secrets

    @property
    def database_url(self) -> str:
        """PostgreSQL URL of a superuser."""
        return self._servers.database_url

    def place(self, shard: int) -> LinkPlace:
        """Return where the link of a shard's engine is found."""
        return LinkPlace(self.database_url, shard, self._secrets["LINK_SECRET"].encode())

    def environment(self, shard: int) -> dict[str, str]:
        """Return the environment of a shard's engine."""
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        urls = {"DATABASE_URL": self._servers.database_url, "REDIS_URL": self._servers.redis_url}
        # What it can do, not what it holds back after an outage.
        settings = {"ORDERWIRE_SHARD": str(shard), "ORDERWIRE_LOG_LEVEL": "warning", "ORDERWIRE_REOPEN_S": "0"}
        return inherited | self._secrets | urls | settings | {"PYTHONPATH": str(REPOSITORY)}

    def cpu_times(self, engine: "EngineRole") -> CpuTimes:
        """Return the CPU time so far of an engine and of the servers."""
        found = cpu_times_of([engine.pid, *self._servers.pids])
        return {pid: ("engine" if pid == engine.pid else part, seconds) for pid, (part, seconds) in found.items()}

    def __enter__(self) -> Self:
        """Start the servers."""
        self._servers.start()
        try:
            upgrade(self._servers.database_url)
        except BaseException:
            self._servers.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._servers.stop()


class EngineRole:
    """`orderwire engine` of one shard as a process. A context manager: it is entered once it takes commands."""

    def __init__(self, servers: EngineServers, shard: int) -> None:
        self._servers = servers
        self._shard = shard
        self._process: subprocess.Popen[bytes] | None = None
        self.seconds_to_serve = 0.0

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None, "expected a started engine"
        return self._process.pid

    def resident_bytes(self) -> int:
        """Return the resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    async def start(self) -> None:
        """Start it and wait until it takes commands. Raises StartupError."""
        started = time.monotonic()
        self._process = self._spawned()
        connection = await asyncpg.connect(asyncpg_dsn(self._servers.database_url))
        try:
            while not await self._listens(connection):
                if self._process.poll() is not None or time.monotonic() - started > START_TIMEOUT_S:
                    raise StartupError(f"the engine of shard {self._shard} does not lead")
                time.sleep(POLL_S)  # noqa: ASYNC251  # nothing else runs meanwhile
        finally:
            await connection.close()
        self.seconds_to_serve = time.monotonic() - started

    async def _listens(self, connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
        """Return whether the head row names this process and its link answers: it is named while it still replays."""
        head = await connection.fetchrow("SELECT owner, address FROM shard_head WHERE shard = $1", self._shard)
        if head is None or f":{self.pid}:" not in head["owner"]:
            return False
        host, _, port = head["address"].rpartition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def _spawned(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # our own interpreter and package
            [sys.executable, "-m", "app", "engine"],
            env=self._servers.environment(self._shard),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
