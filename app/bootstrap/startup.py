"""What every role checks and opens before it serves: one line and exit code 3 when something is wrong."""

import asyncio
import signal
import socket
from urllib.parse import urlsplit

from prometheus_client import start_http_server

from app import __version__, metrics
from app.bus.redis import RedisBus
from app.config import Settings
from app.errors import BusUnavailable, JournalUnavailable, StartupError
from app.link.client import Locate
from app.storage.database import asyncpg_dsn, create_database_engine, require_revision
from app.storage.journal import GIVE_UP_S, Journal

EXIT_OK = 0
EXIT_LOST = 4
"""The leader lost its journal or its term, or a replica a part of itself: start it again."""
STARTUP_PATIENCE_S = 2.0


def stop_event() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event


def bind(host: str, port: int) -> socket.socket:
    """Return a listening-ready TCP socket. Raises StartupError naming a busy address."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise StartupError(f"cannot bind {host}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def show_metrics(role: str, port: int) -> None:
    """Show the metrics of a role without an HTTP interface of its own, if a port is set. Raises StartupError."""
    metrics.announce(role=role, version=__version__)
    if not port:
        return
    try:
        start_http_server(port, addr="127.0.0.1", registry=metrics.REGISTRY)
    except OSError as error:
        raise StartupError(f"cannot bind 127.0.0.1:{port} for metrics: {error.strerror}") from error


async def require_database(url: str) -> None:
    """Raise StartupError, in one line, unless the database answers and has this build's revision."""
    engine = create_database_engine(url, pool_size=1)
    try:
        async with asyncio.timeout(STARTUP_PATIENCE_S * 2):
            await require_revision(engine)
    except TimeoutError:
        raise StartupError(f"PostgreSQL at {place(url)} does not answer") from None
    finally:
        await engine.dispose()


async def require_redis(url: str) -> None:
    """Raise StartupError, in one line, unless Redis answers. Later it may come and go."""
    bus = RedisBus(url, "ow:probe")
    try:
        await bus.last_seq()
    except BusUnavailable as error:
        raise StartupError(f"Redis at {place(url)} does not answer: {error}") from error
    finally:
        await bus.close()


async def open_journal(settings: Settings, *, give_up_s: float = GIVE_UP_S) -> Journal:
    """Return a journal connection. Raises StartupError when PostgreSQL does not answer."""
    dsn = asyncpg_dsn(settings.database_url)
    try:
        probe = await Journal.connect(dsn, settings.shard, give_up_s=STARTUP_PATIENCE_S)
        await probe.check_durability()
        await probe.close()
        return await Journal.connect(
            dsn, settings.shard, give_up_s=give_up_s, partition_commands=settings.journal_partition
        )
    except JournalUnavailable as error:
        raise StartupError(f"PostgreSQL at {place(settings.database_url)}: {error}") from error


def locate_leader(journal: Journal) -> Locate:
    """Return a look-up of the leader's address in the head row."""

    async def locate() -> tuple[str, int] | None:
        try:
            async with asyncio.timeout(STARTUP_PATIENCE_S):
                head = await journal.head()
        except (JournalUnavailable, TimeoutError):
            return None
        return (head.address, head.term) if head.address else None

    return locate


def place(url: str) -> str:
    """Return host and port of a URL, without its password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"
