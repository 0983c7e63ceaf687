"""The engine role as a real process, and a link to it: for tests of the sequencer and of failures."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.link.client import LinkClient
from app.storage.database import asyncpg_dsn
from app.storage.journal import Journal
from tests.database_roles import as_role

LINK_SECRET = "a link secret for tests, long enough"
CALM = {"ORDERWIRE_STANDBYS": "0", "ORDERWIRE_DISK_CANCEL_ONLY_PERCENT": "0", "ORDERWIRE_REOPEN_S": "0"}
"""No mode but by what a test does: the machine's disk may be full, and tests restart engines."""
SECRETS = {"LINK_SECRET": LINK_SECRET, "JWT_SECRET": "j" * 40, "KEY_SECRET": "k" * 40}


def role_environment(database_url: str, redis_url: str, **extra: str) -> dict[str, str]:
    """Return the whole environment of a role: nothing is inherited but what a process needs to start."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **SECRETS, **CALM, "DATABASE_URL": database_url, "REDIS_URL": redis_url, **extra}


class EngineProcess:
    """`python -m app engine`, killed at the end whatever happens."""

    def __init__(self, database_url: str, redis_url: str, *, shard: int, module: str = "app", **settings: str) -> None:
        self._command = [sys.executable, "-m", module, "engine"]
        self._environment = role_environment(
            as_role(database_url, "engine"), redis_url, ORDERWIRE_SHARD=str(shard), **settings
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; it leads as soon as it can."""
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 20) -> tuple[int, str]:
        """Wait for the end; returns exit code and stderr."""
        assert self.process is not None
        _, errors = self.process.communicate(timeout=timeout_s)
        code, self.process = self.process.returncode, None
        return code, errors.decode()

    def kill(self) -> None:
        """SIGKILL, and collect the process."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self) -> "EngineProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


async def wait_for_term(link: LinkClient, term: int, timeout_s: float = 20) -> None:
    """Wait until the link follows a leader of that term or a later one."""
    async with asyncio.timeout(timeout_s):
        while not (link.connected and link.term >= term):  # noqa: ASYNC110  # polls what the link learns
            await asyncio.sleep(0.01)


@asynccontextmanager
async def linked(database_url: str, *, shard: int, wait_s: float = 20) -> AsyncIterator[LinkClient]:
    """Yield a link client that follows the head row's address."""
    journal = await Journal.connect(asyncpg_dsn(database_url), shard)

    async def locate() -> tuple[str, int]:
        head = await journal.head()
        return head.address, head.term

    client = LinkClient(shard=shard, secret=LINK_SECRET.encode(), replica="test", build="test", locate=locate)
    await client.start()
    try:
        assert await client.wait_connected(wait_s), "no engine led in time"
        yield client
    finally:
        await client.stop()
        await journal.close()
