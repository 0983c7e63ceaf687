"""Journals for the replay tests: batches of encoded commands, as rows hold them, and what replaying them gives."""

import random
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from app.domain.commands import Tick
from app.engine.checkpoint import state_hash
from app.engine.engine import Engine
from app.protocol.records import decode_command, encode
from app.sequencer.batch import build_record
from tests.property.duel import regrouped
from tests.property.streams import Stream

TERM = 1
START_NS = 1_700_000_000_000_000_000


class Row(msgspec.Struct, frozen=True):
    """One batch: its time and its encoded commands."""

    timestamp_ns: int
    commands: list[bytes]


class Replayed(NamedTuple):
    """What a journal gave: a digest of each row's body, events included, and the state at the end."""

    digests: list[str]
    state_hash: str


def record_journal(seed: int, commands: int) -> list[Row]:
    """Return a journal of a random stream of so many commands, with a Tick at the head of each row that is due one."""
    stream, engine, count = Stream(seed), Engine(), 0
    stream.now_ns = START_NS
    rows: list[Row] = []
    pending = stream.setup()
    while count < commands:
        stream.now_ns += stream.pause_ns()
        row = Row(stream.now_ns, [])
        engine.begin(row.timestamp_ns)
        deadline = engine.next_deadline
        if deadline is not None and deadline <= row.timestamp_ns:
            row.commands.append(encode(Tick()))
            stream.observe(engine.apply(Tick()))
        for _ in range(stream.batch_size()):
            command = pending.pop(0) if pending else stream.next()
            try:
                data = encode(command)
            except OverflowError:
                # No frame can carry it either: such numbers never reach an engine.
                continue
            row.commands.append(data)
            stream.observe(engine.apply(command))
            count += 1
        stream.observe(regrouped(engine.seal()).sums())
        rows.append(row)
    return rows


def replay(rows: list[Row], *, restart_after: frozenset[int] = frozenset()) -> Replayed:
    """Replay a journal in a new engine, which is restored from its own checkpoint after each row named."""
    engine, digests = Engine(), []
    for number, row in enumerate(rows):
        body = apply_row(engine, row)
        digests.append(blake2b(body, digest_size=16).hexdigest())
        if number in restart_after:
            data = engine.checkpoint()
            engine = Engine.restore(data, state_hash(data))
    return Replayed(digests, engine.state_hash().hex())


def apply_row(engine: Engine, row: Row) -> bytes:
    """Apply one row; returns the body the journal would hold for it."""
    engine.begin(row.timestamp_ns)
    for data in row.commands:
        engine.apply(decode_command(data))
    sealed, last_seq = engine.seal(), engine.state.sequence
    record = build_record(sealed, row.commands, last_seq=last_seq, term=TERM, timestamp_ns=row.timestamp_ns)
    return encode(record)


def random_restarts(rows: list[Row], seed: int, count: int = 3) -> frozenset[int]:
    """Return a few random rows after which to restart."""
    return frozenset(random.Random(seed).choices(range(len(rows)), k=count))
