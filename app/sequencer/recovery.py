"""From checkpoint and journal tail to an engine that stands at the committed head.

Every row is verified against the hash chain and replayed; the replay must reproduce the row's event
bytes. Anything damaged is refused, naming its sequence.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.engine.checkpoint import state_hash
from app.engine.engine import ENGINE_VERSION, Engine
from app.errors import JournalDamaged, StartupError
from app.protocol.records import GENESIS_HASH, decode_batch, decode_command
from app.sequencer.batch import build_record
from app.storage import checkpoints
from app.storage.checkpoints import Checkpoint
from app.storage.journal import Head, Journal, JournalRow, verify_row

REPLAY_ROWS = 500

log = structlog.get_logger(__name__)


class Recovered(NamedTuple):
    """An engine at the committed head, or where a replay ended."""

    engine: Engine
    head_hash: bytes
    """Of the row it stands at."""
    replayed: int
    """Commands replayed after the checkpoint."""


async def recover(journal: Journal, newest_first: AsyncIterator[Checkpoint], head: Head) -> Recovered:
    """Return the engine at the head. Raises JournalDamaged naming the sequence that does not verify."""
    engine, row_hash = await restore_newest(newest_first, head.head_seq)
    return await catch_up(journal, engine, row_hash, head)


async def catch_up(journal: Journal, engine: Engine, row_hash: bytes, head: Head) -> Recovered:
    """Replay what an engine lacks up to the head. Raises JournalDamaged naming the sequence that does not verify."""
    start = engine.state.sequence
    while engine.state.sequence < head.head_seq:
        rows = await journal.rows(engine.state.sequence, REPLAY_ROWS)
        if not rows:
            raise JournalDamaged(f"the journal ends at {engine.state.sequence}, the head is at {head.head_seq}")
        for row in rows:
            row_hash = follow_row(engine, row_hash, row)
            # A leader beats meanwhile.
            await asyncio.sleep(0)
    if row_hash != head.head_hash:
        raise JournalDamaged(f"the row or checkpoint at sequence {head.head_seq} does not have the head's hash")
    return Recovered(engine, row_hash, engine.state.sequence - start)


async def restore_newest(newest_first: AsyncIterator[Checkpoint], head_seq: int) -> tuple[Engine, bytes]:
    """Return the engine of the newest usable checkpoint, or a new one, and the hash of the row it stands at.

    One of an older engine version is usable; rows of that version behind it are not.
    """
    async for checkpoint in newest_first:
        if checkpoint.last_seq > head_seq:
            continue
        try:
            engine = Engine.restore(checkpoint.body, checkpoint.state_hash)
        except JournalDamaged as error:
            log.error("checkpoint_refused", last_seq=checkpoint.last_seq, reason=str(error))
            continue
        return engine, checkpoint.row_hash
    return Engine(), GENESIS_HASH


def verify_checkpoint(checkpoint: Checkpoint) -> None:
    """Raise JournalDamaged, naming the sequence, unless this build could start from the checkpoint.

    Refuses those of other engine versions: of them it depends on the rows that follow.
    """
    if checkpoint.engine_version != ENGINE_VERSION:
        raise JournalDamaged(
            f"the checkpoint at sequence {checkpoint.last_seq} is of engine version {checkpoint.engine_version}, "
            f"this build restores {ENGINE_VERSION}"
        )
    try:
        engine = Engine.restore(checkpoint.body, checkpoint.state_hash)
    except JournalDamaged as error:
        raise JournalDamaged(f"the checkpoint at sequence {checkpoint.last_seq} does not restore: {error}") from error
    if engine.state.sequence != checkpoint.last_seq:
        raise JournalDamaged(f"the checkpoint at sequence {checkpoint.last_seq} is of {engine.state.sequence}")


def follow_row(engine: Engine, row_hash: bytes, row: JournalRow) -> bytes:
    """Verify and replay the next row; returns its hash. Raises JournalDamaged naming the sequence."""
    verify_row(row, row_hash, engine.state.sequence + 1)
    replay_row(engine, row)
    return row.hash


async def verify_journal(
    journal: Journal, newest_first: AsyncIterator[Checkpoint], *, start: int, end: int
) -> Recovered:
    """Replay the sequences from `start` to `end`; returns the engine as it stood after the row that holds `end`.

    Begins at the newest checkpoint before `start`. Raises JournalDamaged naming the sequence that does not verify.
    """
    engine, row_hash = await restore_newest(newest_first, start - 1)
    first = engine.state.sequence
    while engine.state.sequence < end:
        rows = await journal.rows(engine.state.sequence, REPLAY_ROWS)
        if not rows:
            raise JournalDamaged(f"the journal ends at {engine.state.sequence}, sequence {end} was asked for")
        for row in rows:
            if engine.state.sequence >= end:
                break
            row_hash = follow_row(engine, row_hash, row)
    return Recovered(engine, row_hash, engine.state.sequence - first)


async def first_provable(journal: Journal, kept: Sequence[int]) -> int:
    """Return the first sequence from which this build can replay on: 1, or the one after the oldest checkpoint that
    neither pruned rows nor rows of another engine version follow. Raises StartupError if there is none.
    `kept` are the checkpoints' sequences, newest first.
    """
    first = await journal.rows(0, 1)
    if not first or (first[0].first_seq == 1 and first[0].engine_version == ENGINE_VERSION):
        return 1
    for last_seq in reversed(kept):
        following = await journal.rows(last_seq, 1)
        if not following or following[0].engine_version == ENGINE_VERSION:
            return last_seq + 1
    raise StartupError(
        f"the journal begins with sequence {first[0].first_seq}, of engine version {first[0].engine_version}, "
        f"and there is no checkpoint from which version {ENGINE_VERSION} goes on"
    )


async def save_checkpoint(database: AsyncEngine, shard: int, recovered: Recovered) -> None:
    """Write the engine's state, which must stand at a committed row and does not change meanwhile.

    Others have their turns on the loop: a standby that writes a large one must see at once that it is to lead.
    """
    engine = recovered.engine
    body = await _dumped(engine)
    # Hashing gives the interpreter away.
    digest = await asyncio.to_thread(state_hash, body)
    checkpoint = Checkpoint(shard, engine.state.sequence, recovered.head_hash, ENGINE_VERSION, digest, body)
    await checkpoints.save(database, checkpoint)
    log.info("checkpoint_written", last_seq=checkpoint.last_seq, bytes=len(body))


async def _dumped(engine: Engine) -> bytes:
    steps = engine.checkpoint_in_steps()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            body: bytes = done.value
            return body
        await asyncio.sleep(0)


def replay_row(engine: Engine, row: JournalRow) -> None:
    """Apply a verified row's commands; the events must come out byte for byte as they were journaled."""
    if row.engine_version != ENGINE_VERSION:
        raise JournalDamaged(
            f"row {row.last_seq} is of engine version {row.engine_version}, this build replays {ENGINE_VERSION}; "
            "from an older version to a newer one it goes by the checkpoint that a clean stop of the old build leaves"
        )
    record = decode_batch(row.body)
    engine.begin(record.timestamp_ns)
    for data in record.commands:
        engine.apply(decode_command(data))
    replayed = build_record(
        engine.seal(),
        record.commands,
        last_seq=engine.state.sequence,
        term=record.term,
        timestamp_ns=engine.state.timestamp_ns,
    )
    if replayed != record:
        raise JournalDamaged(f"replaying row {row.last_seq} gave other events than it holds")
