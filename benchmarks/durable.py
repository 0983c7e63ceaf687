"""Durable orders: commands over the engine's link, each answered after its commit, and how fast an engine is back.

Per round, interleaved: the plain book (the yardstick of this machine and minute), then an engine process of a
new shard that takes the *deep* commands over the link and commits every one to PostgreSQL, then the replay of
that journal. Rates are per CPU-second of the engine's process; the wall rate is of this machine, where the
engine, PostgreSQL, Valkey and the load share the cores. Without replicas, worker and standby.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

import uvloop

from app.engine.engine import Engine
from app.protocol.records import BATCH_COMMANDS_MAX, GENESIS_HASH
from app.sequencer.queue import QUEUE_COMMANDS_MIN
from app.sequencer.recovery import catch_up
from app.storage.database import asyncpg_dsn
from app.storage.journal import Journal
from benchmarks import paced
from benchmarks.bare_book import PlainBook
from benchmarks.engine import bare_seconds
from benchmarks.engine_role import EngineRole, EngineServers
from benchmarks.exchange import cpu_seconds_between
from benchmarks.figures import Spread, table
from benchmarks.link_wire import LinkWire, frames_of, outcomes_of
from benchmarks.path import durable_inserts
from benchmarks.restart import measure_restart
from benchmarks.workloads import Workload, deep

ROUNDS = 3
IN_FLIGHT = QUEUE_COMMANDS_MIN - BATCH_COMMANDS_MAX
"""The leader's queue has room for so many, however slow commits are."""
SETTLE_S = 0.5
"""After the last answer: what the engine still publishes is its work too."""
PACED_SHARD = 100
_PER_ORDER = ("engine", "postgresql", "valkey")


def measure(*, rounds: int = ROUNDS, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return all figures. Raises MissingWorkload or StartupError."""
    workload = deep()
    frames = frames_of([*workload.setup, *workload.commands])
    found: dict[str, list[float]] = {}
    with EngineServers() as servers:
        for number in range(rounds):
            progress(f"durable: round {number + 1} of {rounds}")
            plain = len(workload.steps) / bare_seconds(workload, PlainBook())
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                figures = runner.run(_round(servers, workload, frames, number))
            figures["plain_book_per_cpu_s"] = plain
            figures["durable_insert_p50_ms"] = asyncio.run(durable_inserts(servers.database_url))["p50_us"] / 1000
            for kind in ("orders", "replayed"):
                figures[f"{kind}_to_plain_book"] = figures[f"{kind}_per_cpu_s"] / plain
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
        progress(f"durable: {paced.RATE:,.0f} orders a second, {paced.ROUNDS} times {paced.ROUND_COMMANDS:,}")
        at_pace = asyncio.run(_at_pace(servers, workload))
        restart = asyncio.run(measure_restart(servers, progress))
    return {
        "rounds": rounds,
        "commands": len(workload.commands),
        "capacity": _spreads(found),
        "paced": at_pace,
    } | restart


def report(figures: dict[str, Any]) -> str:
    """Return the tables of `measure`."""
    rows = [(name.replace("_", " "), _shown(Spread(*values))) for name, values in figures["capacity"].items()]
    rows += [
        (f"{paced.RATE:,.0f}/s over the link, {name.replace('_', ' ')}", _shown(Spread(*values)))
        for name, values in figures["paced"].items()
    ]
    restart = figures["restart"]
    rows += [(name.replace("_", " "), f"{value:,.2f}") for name, value in restart.items()]
    return table("Durable orders", ("what", "median (range)"), rows)


def _spreads(found: dict[str, list[float]]) -> dict[str, Spread]:
    return {name: Spread.of(values) for name, values in found.items()}


def _shown(spread: Spread) -> str:
    return spread.text(0 if spread.median >= 100 else 3)


async def _at_pace(servers: EngineServers, workload: Workload) -> dict[str, Spread]:
    async with EngineRole(servers, PACED_SHARD):
        return await asyncio.to_thread(paced.measure_paced, servers, PACED_SHARD, workload)


async def _round(servers: EngineServers, workload: Workload, frames: list[bytes], shard: int) -> dict[str, float]:
    setup = len(workload.setup)
    async with EngineRole(servers, shard) as engine:
        wire = await LinkWire.connect(servers.place(shard))
        try:
            outcomes_of(await wire.run(frames[:setup], in_flight=IN_FLIGHT))
            before, started = servers.cpu_times(engine), time.perf_counter()
            answers = await wire.run(frames[setup:], in_flight=IN_FLIGHT)
            seconds = time.perf_counter() - started
            await asyncio.sleep(SETTLE_S)
            spent = cpu_seconds_between(before, servers.cpu_times(engine))
        finally:
            wire.close()
    refused = sum(outcome.rejection is not None for outcome in outcomes_of(answers))
    if refused != workload.refused:
        raise AssertionError(f"expected {workload.refused} refusals, was {refused}")
    count = len(answers)
    found = {"orders_per_cpu_s": count / spent["engine"], "orders_per_wall_s": count / seconds}
    found |= {f"{part}_us_per_order": spent.get(part, 0.0) / count * 1e6 for part in _PER_ORDER}
    return found | await _replay(servers.database_url, shard)


async def _replay(database_url: str, shard: int) -> dict[str, float]:
    """Replay the whole journal as a starting engine does: every row verified, every event compared."""
    journal = await Journal.connect(asyncpg_dsn(database_url), shard)
    try:
        head = await journal.head()
        gc.collect()
        started, cpu_started = time.perf_counter(), time.process_time()
        recovered = await catch_up(journal, Engine(), GENESIS_HASH, head)
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
        rows = await _rows(journal)
    finally:
        await journal.close()
    return {
        "replayed_per_cpu_s": recovered.replayed / cpu_s,
        "replayed_per_wall_s": recovered.replayed / seconds,
        "commands_per_batch": recovered.replayed / rows,
    }


async def _rows(journal: Journal) -> int:
    count, after = 0, 0
    while rows := await journal.rows(after, 500):
        count, after = count + len(rows), rows[-1].last_seq
    return count
