"""How an engine becomes the leader: wait until nobody leads, then win the compare-and-set.

Nobody leads when the leader's lock is free (fast hint), or when the head row's beat stood still over
enough answered reads on our own monotonic clock (authority: a frozen leader keeps its lock). The
compare-and-set decides; a leader that lost cannot commit any more.
"""

import asyncio
import os
import time
import uuid

import structlog

from app.storage.journal import Head, Journal
from app.storage.leader_lock import LeaderLock

BEAT_READS_MIN = 6
BEAT_STILL_S = 1.5
POLL_S = 0.1

log = structlog.get_logger(__name__)


async def become_leader(journal: Journal, lock: LeaderLock, *, address: str, build: str) -> Head:
    """Wait for the shard to be without a leader and take it; returns our own head row."""
    owner = f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4()}"
    still_since, reads, waiting = time.monotonic(), 0, False
    beat: tuple[int, int] | None = None
    while True:
        head = await journal.head()
        free = await lock.try_acquire()
        now = time.monotonic()
        if (head.term, head.beat) != beat:
            beat, still_since, reads = (head.term, head.beat), now, 0
        reads += 1
        dead = reads >= BEAT_READS_MIN and now - still_since >= BEAT_STILL_S
        if free or dead or not head.owner:
            taken = await journal.take_over(head, owner=owner, address=address, build=build)
            if taken is not None:
                log.info("leading", term=taken.term, head_seq=taken.head_seq, by="lock" if free else "beat")
                return taken
            continue
        if not waiting:
            waiting = True
            log.info("standing_by", leader=head.owner, term=head.term)
        await asyncio.sleep(POLL_S)
