"""How an engine becomes the leader: wait until nobody leads, then win the compare-and-set.

Nobody leads when the leader's lock is free (fast hint), or when the head row's beat stood still over
enough answered reads on our own monotonic clock (authority: a frozen leader keeps its lock). The
compare-and-set decides; a leader that lost cannot commit any more.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog

from app.errors import JournalUnavailable
from app.sequencer.sequencer import BEAT_IDLE_S
from app.storage.journal import Head, Journal
from app.storage.leader_lock import LeaderLock, lock_key

BEAT_READS_MIN = 6
BEAT_STILL_S = 1.5
READ_GAP_MAX_S = 0.5
"""Reads further apart than this do not span a silence: PostgreSQL itself, or we, stood still between them."""
POLL_S = 0.05
LOCK_CHECK_S = 0.25
ROOM_CHECK_S = 5.0
"""Pause between looks at the journal's partitions: far less than the fastest engine takes to fill one."""

log = structlog.get_logger(__name__)


class BeatWatch:
    """Judges from answered reads of the head row whether its leader is silent."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._since = self._last = 0.0
        self._reads = 0
        self.moved: float | None = None
        """When a beat was last seen to move; None if that was never seen."""

    def silent(self, head: Head, now: float) -> bool:
        """Take one answered read at a monotonic time in seconds; returns whether the leader counts as dead."""
        beat = (head.term, head.beat)
        if self._seen is not None and beat != self._seen:
            self.moved = now
        if beat != self._seen or now - self._last > READ_GAP_MAX_S:
            self._seen, self._since, self._reads = beat, now, 0
        self._last = now
        self._reads += 1
        return self._reads >= BEAT_READS_MIN and now - self._since >= BEAT_STILL_S


class LockHint:
    """Judges from the leader's lock whether its session is gone."""

    def __init__(self, lock: LeaderLock) -> None:
        self._lock = lock
        self._trusted: str | None = None

    async def free(self, owner: str) -> bool:
        """Return whether its lock says that the owner of the head row is gone. Raises JournalUnavailable."""
        key = lock_key(owner)
        if key is None:
            # Of a build before this one, or by hand: only its beat counts.
            return False
        free, started = await self._lock.probe(key)
        if self._trusted is None or not free:
            self._trusted = started
        # A restart of PostgreSQL frees the lock of a leader that lives: only its beat counts until it is held again.
        return free and started == self._trusted


class Elected(NamedTuple):
    """Our own head row, and how long in seconds the leader before us was silent; None if nobody saw it beat."""

    head: Head
    silence_s: float | None


async def become_leader(
    journal: Journal, lock: LeaderLock, *, address: str, build: str, is_ready: Callable[[], bool] | None = None
) -> Elected:
    """Wait for the shard to be without a leader and take it. Survives an outage.

    With `is_ready` the engine stands by, and leads, only from when it says so: whoever has yet to restore
    would lead in silence, and keep away those that could serve at once.
    """
    watch, hint, waiting = BeatWatch(), LockHint(lock), True
    while True:
        try:
            head = await journal.head()
            silent = watch.silent(head, time.monotonic())
            if is_ready is None or is_ready():
                if not lock.held:
                    # Ours, which others look at once we lead.
                    await lock.try_acquire()
                free = await hint.free(head.owner)
                if free or silent or not head.owner:
                    await journal.make_room()
                    taken = await journal.take_over(head, owner=lock.owner, address=address, build=build)
                    if taken is not None:
                        log.info("leading", term=taken.term, head_seq=taken.head_seq, by="lock" if free else "beat")
                        with contextlib.suppress(JournalUnavailable):
                            # A session that was lost stands by no more.
                            await lock.leave_standby()
                        return Elected(taken, None if watch.moved is None else time.monotonic() - watch.moved)
                if is_ready is not None:
                    await lock.stand_by()
                if waiting:
                    waiting = False
                    log.info("standing_by", leader=head.owner, term=head.term)
        except JournalUnavailable as error:
            log.warning("standby_waits_for_postgresql", reason=str(error))
        await asyncio.sleep(POLL_S)


@asynccontextmanager
async def beating(journal: Journal, head: Head) -> AsyncIterator[None]:
    """Beat on a head that was just taken over while the block runs: it may take longer than a silence.

    An engine that is fenced meanwhile is told so by its next statement.
    """
    done = asyncio.Event()

    async def beat() -> None:
        while True:
            try:
                async with asyncio.timeout(BEAT_IDLE_S):
                    await done.wait()
                return
            except TimeoutError:
                await journal.beat(head.term, head.head_seq, head.head_hash)

    beats = asyncio.create_task(beat())
    try:
        yield
    finally:
        # Not canceled: that would cut the connection under a beat.
        done.set()
        await asyncio.gather(beats, return_exceptions=True)


async def keep_lock(lock: LeaderLock) -> None:
    """Hold the lock while leading, also after its connection or PostgreSQL restarted; runs until it is canceled.

    The server is asked only when the connection is known to be gone: a question that a frozen server
    does not answer would cut the connection, and with it the lock.
    """
    while True:
        if not lock.held:
            try:
                await lock.try_acquire()
            except JournalUnavailable as error:
                log.warning("leader_lock_lost", reason=str(error))
        await asyncio.sleep(LOCK_CHECK_S)


async def keep_room(journal: Journal) -> None:
    """Keep partitions ready ahead of the journal while leading; runs until it is canceled."""
    while True:
        try:
            await journal.make_room()
        except JournalUnavailable as error:
            log.warning("journal_partitions_not_extended", reason=str(error))
        await asyncio.sleep(ROOM_CHECK_S)
