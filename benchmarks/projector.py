"""The core projector: journal rows into all its tables, committed, on a PostgreSQL of its own.

The rows are those of a real engine under the workload *deep*, in batches of 64. They are projected in
the runs that a backlog is projected in. Events are the private ones and the public trades of the journal.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import uvloop

from app.dev.servers import LocalServers
from app.domain.commands import Command
from app.engine.engine import ENGINE_VERSION, Engine
from app.projections.core import CoreProjector
from app.projections.runner import RUN_BYTES_MAX, RUN_ROWS_MAX
from app.protocol.records import GENESIS_HASH, chain_hash, decode_batch, decode_book, decode_private, encode
from app.sequencer.batch import build_record
from app.storage.journal import JournalRow
from app.storage.migrate import upgrade
from benchmarks.figures import Spread, table
from benchmarks.workloads import BATCH_NS, DEEP_SEED, START_NS, batches, deep

ROUNDS = 3
SHARD = 0
COMMANDS = 40_000


def measure(*, rounds: int = ROUNDS, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return events a second, by the wall clock and by the projector's own CPU time. Raises MissingWorkload."""
    progress("projector: making the journal")
    workload = deep()
    rows = _rows([*workload.setup, *workload.seed_commands, *islice(workload.commands, COMMANDS)])
    events = sum(map(_events, rows))
    found: dict[str, list[float]] = {"events_per_s": [], "events_per_cpu_s": []}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for number in range(rounds):
            progress(f"projector: round {number + 1} of {rounds}, {events:,} events")
            # A server of its own each time: an empty database, and no work left over from the round before.
            with LocalServers() as servers:
                upgrade(servers.database_url)
                seconds, cpu = runner.run(_project(servers.database_url, rows))
            found["events_per_s"].append(events / seconds)
            found["events_per_cpu_s"].append(events / cpu)
    return {
        "rounds": rounds,
        "seed": DEEP_SEED,
        "rows": len(rows),
        "commands": rows[-1].last_seq,
        "events": events,
        **{kind: Spread.of(values) for kind, values in found.items()},
    }


def report(figures: dict[str, Any]) -> str:
    """Return the table of `measure`."""
    rates = [(kind.replace("_", " "), Spread(*figures[kind]).text()) for kind in ("events_per_s", "events_per_cpu_s")]
    return table(f"Projector, {figures['events']:,} events", ("what", "median (range)"), rates)


def _rows(commands: list[Command]) -> list[JournalRow]:
    engine, rows, previous = Engine(), list[JournalRow](), GENESIS_HASH
    for batch in batches(commands):
        timestamp_ns = START_NS + len(rows) * BATCH_NS
        engine.begin(timestamp_ns)
        for command in batch:
            engine.apply(command)
        record = build_record(
            engine.seal(),
            [encode(command) for command in batch],
            last_seq=engine.state.sequence,
            term=1,
            timestamp_ns=timestamp_ns,
        )
        body = encode(record)
        digest = chain_hash(previous, body)
        rows.append(
            JournalRow(record.last_seq, record.first_seq, 1, previous, digest, ENGINE_VERSION, timestamp_ns, body)
        )
        previous = digest
    return rows


def _events(row: JournalRow) -> int:
    record = decode_batch(row.body)
    private = sum(len(decode_private(blob)) for _, blob in record.accounts)
    return private + sum(len(decode_book(blob).trades) for _, blob in record.books)


async def _project(url: str, rows: Sequence[JournalRow]) -> tuple[float, float]:
    """Return the seconds by the wall clock, and of this process, that projecting took."""
    projector = CoreProjector(url, SHARD)
    await projector.cursor()
    started, cpu_started = time.perf_counter(), time.process_time()
    for run in _runs(rows):
        await projector.apply(run)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    await projector.close()
    return seconds, cpu


def _runs(rows: Sequence[JournalRow]) -> list[list[JournalRow]]:
    """Return the rows as the runner reads a backlog."""
    runs: list[list[JournalRow]] = [[]]
    size = 0
    for row in rows:
        if len(runs[-1]) == RUN_ROWS_MAX or size > RUN_BYTES_MAX:
            runs.append([])
            size = 0
        runs[-1].append(row)
        size += len(row.body)
    return runs
