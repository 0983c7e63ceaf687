"""The engine role: lead the shard, or stand by until it has no leader."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from app import __version__, metrics
from app.bootstrap.leader_watch import watch_leader
from app.bootstrap.startup import (
    EXIT_LOST,
    EXIT_OK,
    bind,
    open_journal,
    require_database,
    require_redis,
    show_metrics,
    stop_event,
)
from app.bus.redis import RedisBus
from app.bus.topics import stream_key
from app.config import Settings
from app.domain.commands import StartEpoch
from app.errors import BusUnavailable, Fenced, JournalDamaged, JournalUnavailable, StartupError
from app.link.server import LinkServer
from app.protocol.ports import BusEntry
from app.protocol.records import decode_batch, encode, without_commands
from app.sequencer.clock import LeaderClock
from app.sequencer.collector import spare_the_engine
from app.sequencer.follower import STANDBY_POLL_S, Follower
from app.sequencer.leadership import Elected, beating, become_leader, keep_lock, keep_room
from app.sequencer.leases import leases_of
from app.sequencer.modes import LeaderModes
from app.sequencer.publisher import Publisher
from app.sequencer.quarantine import CRASHES_MAX, EngineCrashed, GuardedSequencer
from app.sequencer.recovery import Recovered, save_checkpoint
from app.sequencer.supervision import TaskEnded, run_beside
from app.stages import TIMES, Stage
from app.storage.database import asyncpg_dsn, create_database_engine
from app.storage.journal import Head, Journal, JournalRow
from app.storage.leader_lock import LeaderLock
from app.storage.quarantine import QuarantineStore
from app.tasks import end_all

GENESIS_EPOCH = 1
CHECKPOINT_AFTER_REPLAY = 100_000
"""A leader that was nobody's standby and replayed more commands writes a checkpoint before it accepts."""

SETTLE_S = 0.5
"""Longest wait of a stopped leader for the bus to have its last batches; a longer silence does not cost the lead."""
REPUBLISH_BYTES_MAX = 8 << 20
"""Of rows that are read for the bus at once: they are decoded beside the loop, which must not wait long."""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_bus(settings: Settings, epoch: int) -> AsyncIterator[RedisBus]:
    """Yield the bus of this shard and epoch."""
    bus = RedisBus(settings.redis_url, stream_key(settings.shard, epoch))
    try:
        yield bus
    finally:
        await bus.close()


async def run_engine(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Lead the shard, or stand by until it has no leader."""
    show_metrics("engine", settings.metrics_port)
    spare_the_engine()
    stop = stop_event()
    await require_database(settings.database_url)
    await require_redis(settings.redis_url)
    async with AsyncExitStack() as stack:
        journal, followed = await open_journal(settings), await open_journal(settings)
        for opened in (journal, followed):
            stack.push_async_callback(opened.close)
        lock = await LeaderLock.connect(asyncpg_dsn(settings.database_url), settings.shard)
        stack.push_async_callback(lock.close)
        sock = bind(settings.engine_host, settings.engine_port)
        stack.callback(sock.close)
        database = create_database_engine(settings.database_url, pool_size=1)
        stack.push_async_callback(database.dispose)
        address = f"{settings.engine_host}:{sock.getsockname()[1]}"
        announce(f"engine link on {address}")
        follower = Follower(followed, database, poll_s=STANDBY_POLL_S, every_s=settings.checkpoint_s)
        election = become_leader(journal, lock, address=address, build=__version__, is_ready=lambda: follower.caught_up)
        try:
            elected = await _stand_by(follower, election, stop)
            if elected is None:
                return EXIT_OK
            head = elected.head
            clock = LeaderClock(await lock.clock_ns())
            holding = asyncio.create_task(keep_lock(lock), name="keep_lock")
            stack.callback(holding.cancel)
            async with beating(journal, head):
                recovered = await follower.lead(journal, head)
                if elected.silence_s is None and recovered.replayed > CHECKPOINT_AFTER_REPLAY:
                    await save_checkpoint(database, settings.shard, recovered)
        except JournalDamaged as error:
            raise StartupError(str(error)) from error
        log.info("recovered", head_seq=head.head_seq, replayed=recovered.replayed)
        # What was restored and followed since the start.
        spare_the_engine()
        modes = _modes(settings, _silence_s(elected, recovered, clock))
        try:
            led = await _lead(
                settings,
                journal,
                followed,
                recovered,
                modes=modes,
                head=head,
                clock=clock,
                sock=sock,
                stop=stop,
                holding=holding,
            )
        except (Fenced, JournalUnavailable, JournalDamaged, EngineCrashed, TaskEnded) as error:
            log.error("leadership_lost", reason=str(error))
            return EXIT_LOST
        # A standby leads at once; a large checkpoint takes its time, and what it holds stays committed.
        await end_all([holding])
        await lock.close()
        await save_checkpoint(database, settings.shard, led)
        return EXIT_OK


def _modes(settings: Settings, silence_s: float) -> LeaderModes:
    modes = LeaderModes(
        standbys_wanted=settings.standbys,
        disk_cancel_only=settings.disk_cancel_only_percent / 100,
        reopen_s=settings.reopen_s,
        projection_lag_max_s=settings.projection_lag_s,
        throttled_orders_per_s=settings.throttled_orders_per_s,
    )
    modes.after_silence(silence_s)
    return modes


def _silence_s(elected: Elected, recovered: Recovered, clock: LeaderClock) -> float:
    """Return how long nobody led: as a standby saw it, else at most since the last command; 0 at genesis."""
    if elected.silence_s is not None:
        return elected.silence_s
    last_ns = recovered.engine.state.timestamp_ns
    return (clock.now_ns() - last_ns) / 1e9 if last_ns else 0.0


async def _stand_by(follower: Follower, election: Coroutine[Any, Any, Elected], stop: asyncio.Event) -> Elected | None:
    """Follow the journal until this engine leads; returns None if it was stopped. Raises JournalDamaged."""
    leading, stopping = asyncio.create_task(election), asyncio.create_task(stop.wait())
    following = asyncio.create_task(follower.run(stop))
    tasks: list[asyncio.Task[Any]] = [leading, stopping, following]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await end_all(tasks)
    if leading.done() and not leading.cancelled():
        return leading.result()
    if following.done() and not following.cancelled():
        # Another history than the leader's: this engine must never lead.
        following.result()
    return None


async def _lead(
    settings: Settings,
    journal: Journal,
    followed: Journal,
    recovered: Recovered,
    *,
    modes: LeaderModes,
    head: Head,
    clock: LeaderClock,
    sock: socket.socket,
    stop: asyncio.Event,
    holding: "asyncio.Task[None]",
) -> Recovered:
    """Serve commands until stopped and commit what was taken; returns the engine at its committed head.

    Slow reads ask `followed`, so that no commit waits. Raises TaskEnded when a task beside the loop or `holding` ends.
    """
    state = recovered.engine.state
    epoch = state.epoch or GENESIS_EPOCH
    async with open_bus(settings, epoch) as bus:
        publisher = Publisher(bus, _entries_of(followed), state.sequence)
        store = QuarantineStore(asyncpg_dsn(settings.database_url), settings.shard)
        async with beating(journal, head):
            await _require_own_bus(bus, epoch, state.sequence)
            crashes = await store.load(crashes_max=CRASHES_MAX)
        sequencer = GuardedSequencer(
            store=store,
            crashes=crashes,
            engine=recovered.engine,
            journal=journal,
            head_hash=recovered.head_hash,
            clock=clock,
            publisher=publisher,
            shard=settings.shard,
            term=head.term,
            build=__version__,
            metrics=_BatchMetrics(),
            modes=modes,
        )
        if state.epoch == 0:
            sequencer.execute(StartEpoch(epoch))
        leases = leases_of(state, sequencer.execute)
        server = LinkServer(sequencer, leases, settings.link_secret.get_secret_value().encode())
        watcher = LeaderLock(asyncpg_dsn(settings.database_url), settings.shard)
        paths = [path for path in settings.disk_paths.split(",") if path]
        helpers = [
            asyncio.create_task(keep_room(followed), name="keep_room"),
            asyncio.create_task(publisher.run(), name="publisher"),
            asyncio.create_task(leases.run(), name="leases"),
            asyncio.create_task(watch_leader(modes, publisher, watcher, paths, server.tell_all), name="leader_watch"),
        ]
        await server.start(sock)
        try:
            await _serve(sequencer, publisher, [*helpers, holding], stop)
        finally:
            await server.stop()
            await end_all(helpers)
            await store.close()
            await watcher.close()
        return Recovered(recovered.engine, sequencer.head_hash, 0)


async def _serve(
    sequencer: GuardedSequencer, publisher: Publisher, beside: Sequence["asyncio.Task[None]"], stop: asyncio.Event
) -> None:
    """Run the loop until stopped; then let the bus have the last batches: nobody publishes them until another leads."""
    await run_beside(sequencer, beside, stop)
    await publisher.settle(sequencer.head_seq, SETTLE_S)


async def _require_own_bus(bus: RedisBus, epoch: int, head_seq: int) -> None:
    """Refuse to lead while the bus holds sequences that this journal never had; a frozen Redis takes its timeouts."""
    try:
        published = await bus.last_seq()
    except BusUnavailable:
        # Redis is a cache: a leader starts without it.
        return
    if published > head_seq:
        raise StartupError(
            f"the bus of epoch {epoch} is at {published}, beyond the journal's head {head_seq}: "
            "this database was restored or replaced; run `orderwire admin start-epoch` first"
        )


def _entries_of(journal: Journal) -> Callable[[int, int], Awaitable[list[BusEntry]]]:
    async def entries(after: int, limit: int) -> list[BusEntry]:
        rows = await journal.rows(max(after, 0), limit, bytes_max=REPUBLISH_BYTES_MAX)
        return [bus_entry(row) for row in rows]

    return entries


def bus_entry(row: JournalRow) -> BusEntry:
    """Return a journal row as the bus carries it."""
    return BusEntry(row.first_seq, row.last_seq, encode(without_commands(decode_batch(row.body))))


class _BatchMetrics:
    """Reports the sequencer's batches to the process registry."""

    def batch_committed(self, commands: int, size: int, seconds: float) -> None:
        """Count one committed batch."""
        metrics.BATCH_COMMANDS.observe(commands)
        metrics.BATCH_BYTES.observe(size)
        TIMES[Stage.COMMIT].add(seconds, commands)
        metrics.COMMIT_SECONDS.observe(seconds)
