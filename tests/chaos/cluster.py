"""A leader and a standby over servers of their own, restarted as a supervisor would, with handles to hurt all of it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import asyncpg

from app.dev.servers import LocalServers
from app.link.client import LinkClient
from app.storage.database import asyncpg_dsn
from app.storage.journal import Head, Journal
from app.storage.leader_lock import lock_key
from tests.database_roles import as_role
from tests.engine_process import LINK_SECRET, role_environment

ENGINES = 2
SUPERVISE_S = 0.02
START_WAIT_S = 20.0
LOCK_WAIT_S = 5.0
CHECKPOINT_S = "5"
CAUGHT_UP = "follower_caught_up"
"""What a standby logs once it stands at the head."""


class Ended:
    """A process that is gone: its exit code, and when that was seen on the monotonic clock."""

    def __init__(self, pid: int, code: int, at: float) -> None:
        self.pid, self.code, self.at = pid, code, at


class Engine(NamedTuple):
    """A running engine and what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path


class Cluster:
    """Engine processes of one shard; whichever ends is started again."""

    def __init__(
        self,
        servers: LocalServers,
        database_url: str,
        *,
        shard: int,
        logs: Path,
        program: tuple[str, ...] = ("app",),
    ) -> None:
        self.servers = servers
        self.shard = shard
        self.ended: list[Ended] = []
        self._environment = role_environment(
            as_role(database_url, "engine"),
            servers.redis_url,
            ORDERWIRE_SHARD=str(shard),
            ORDERWIRE_CHECKPOINT_S=CHECKPOINT_S,
        )
        self._logs = logs
        self._program = program
        self._started = 0
        self._processes: list[Engine] = []
        self._supervisor: asyncio.Task[None] | None = None
        self._journal: Journal | None = None
        self._dsn = asyncpg_dsn(database_url)

    async def start(self) -> None:
        """Start the engines and wait until one leads."""
        self._journal = await Journal.connect(self._dsn, self.shard)
        self._processes = [self._spawn() for _ in range(ENGINES)]
        self._supervisor = asyncio.create_task(self._supervise())
        async with asyncio.timeout(START_WAIT_S):
            while not (await self.head()).owner:  # noqa: ASYNC110  # polls a table
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End everything that was started."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
        for process, _ in self._processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        if self._journal is not None:
            await self._journal.close()

    async def head(self) -> Head:
        """Return the head row."""
        assert self._journal is not None
        return await self._journal.head()

    async def leader(self) -> int:
        """Return the process id of whoever the head row names."""
        return int((await self.head()).owner.split(":")[1])

    def owns(self, pid: int) -> bool:
        """Return whether it is one of the running engines."""
        return any(process.pid == pid and process.poll() is None for process, _ in self._processes)

    async def wait_for_standby(self) -> None:
        """Wait until the engine that does not lead has caught up."""
        async with asyncio.timeout(START_WAIT_S):
            while True:
                leader = await self.leader()
                standby = [log for process, log in self._processes if process.pid != leader]
                if len(standby) == ENGINES - 1 and all(CAUGHT_UP in log.read_text() for log in standby):
                    return
                await asyncio.sleep(0.02)

    async def wait_for_end(self, pid: int, timeout_s: float) -> Ended:
        """Wait until a process was seen to end."""
        async with asyncio.timeout(timeout_s):
            while True:
                for ended in self.ended:
                    if ended.pid == pid:
                        return ended
                await asyncio.sleep(SUPERVISE_S / 2)

    async def cut_leader_lock(self) -> None:
        """End the session that holds the leader's lock, while its process lives; waits until one does.

        A leader that was cut and kept leading takes its lock back when it looks at it the next time.
        """
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks "
            "WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ExclusiveLock' AND granted "
            "AND classid::int8 << 32 | objid::int8 = $1"
        )
        connection = await asyncpg.connect(self._dsn)
        try:
            async with asyncio.timeout(LOCK_WAIT_S):
                while not await connection.fetchval(query, lock_key((await self.head()).owner)):  # noqa: ASYNC110  # polls a table
                    await asyncio.sleep(0.02)
        finally:
            await connection.close()

    async def _supervise(self) -> None:
        while True:
            for number, (process, _) in enumerate(self._processes):
                code = process.poll()
                if code is not None:
                    self.ended.append(Ended(process.pid, code, time.monotonic()))
                    self._processes[number] = self._spawn()
            await asyncio.sleep(SUPERVISE_S)

    def _spawn(self) -> Engine:
        self._started += 1
        path = self._logs / f"engine-{self._started}.log"
        with path.open("wb") as log:
            command = [sys.executable, "-m", *self._program, "engine"]
            return Engine(subprocess.Popen(command, env=self._environment, stdout=log, stderr=log), path)


@asynccontextmanager
async def link_to(database_url: str, shard: int, name: str) -> AsyncIterator[LinkClient]:
    """Yield a replica's link that follows the head row, with a database connection of its own."""
    journal = await Journal.connect(asyncpg_dsn(database_url), shard)

    async def locate() -> tuple[str, int] | None:
        async with asyncio.timeout(1):
            head = await journal.head()
        return (head.address, head.term) if head.address else None

    client = LinkClient(shard=shard, secret=LINK_SECRET.encode(), replica=name, build="test", locate=locate)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()
        await journal.close()


def children(pid: int) -> list[int]:
    """Return the processes that a process started, and theirs."""
    started: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                started.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        found += (below := started.get(left.pop(), []))
        left += below
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes that may be gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
