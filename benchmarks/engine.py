"""Engine commands a second: everything the engine does, in one thread, in memory.

Per round, interleaved, each with a fresh engine: a trivial loop (how fast is this machine right now), a book of
plain dicts (the yardstick of the ratios), the engine's bare book, the engine, and the engine as the sequencer
runs it (decode, apply, seal, encode the journal row and the answers, hash). Rates are per second of this
process's CPU time, so that a busy machine disturbs them less; collector and latency have passes of their own.
"""

import gc
import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from app.domain.commands import Command
from app.engine.engine import Engine
from app.protocol.records import GENESIS_HASH, chain_hash, decode_command, encode
from app.sequencer.batch import build_record
from benchmarks.bare_book import BareBook, PlainBook
from benchmarks.figures import PERCENTILES, Spread, percentile, table
from benchmarks.workloads import BATCH_NS, DEEP_SEED, START_NS, Workload, batches, bitstamp, deep, opened

ROUNDS = 5
LATENCY_PASSES = 3
TRIVIAL_STEPS = 1_000_000
Batches = list[list[Command]]
EncodedBatches = list[list[bytes]]


def measure(*, rounds: int = ROUNDS, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return all engine figures. Raises MissingWorkload."""
    figures: dict[str, Any] = {"rounds": rounds, "seed": DEEP_SEED}
    for make in (deep, bitstamp):
        workload = make()
        progress(f"engine: {workload.name}, {len(workload.commands):,} commands")
        figures[workload.name] = _measure(workload, rounds, progress)
    return figures


def report(figures: dict[str, Any]) -> str:
    """Return the tables of `measure`."""
    rates, times = [], []
    for name, found in figures.items():
        if not isinstance(found, dict):
            continue
        for kind in (
            "trivial_steps",
            "plain_book",
            "bare_book",
            "engine",
            "engine_without_collector",
            "sequencer_work",
        ):
            spread = Spread(*found["per_cpu_second"][kind])
            rates.append((name, kind.replace("_", " "), spread.text(), f"{found['ratio_to_plain_book'][kind]:.3f}"))
        for kind, values in found["latency_us"].items():
            shown = [f"{values[key]:,.1f}" for key in ("p50", "p99", "p99.9", "max")]
            times.append((name, kind.replace("_", " "), *shown))
    garbage = sum(found["cyclic_garbage_after_runs"] for found in figures.values() if isinstance(found, dict))
    return "\n".join(
        (
            table("Engine, per CPU-second", ("workload", "what", "median (range)", "ratio to the plain book"), rates),
            table("Engine, microseconds per command", ("workload", "what", "p50", "p99", "p99.9", "max"), times),
            f"Cyclic garbage after the engine's runs: {garbage} objects.\n",
        )
    )


def _measure(workload: Workload, rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    plain = batches(workload.commands)
    encoded = [[encode(command) for command in batch] for batch in plain]
    rates: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    garbage = 0
    for number in range(rounds):
        progress(f"engine: {workload.name}, round {number + 1} of {rounds}")
        found = {"trivial_steps": TRIVIAL_STEPS / _cpu(_trivial_loop)}
        found["plain_book"] = len(workload.steps) / bare_seconds(workload, PlainBook())
        found["bare_book"] = len(workload.steps) / bare_seconds(workload, BareBook())
        for kind, collector in (("engine", True), ("engine_without_collector", False)):
            run = engine_run(workload, plain, collector=collector)
            found[kind] = len(workload.commands) / run.seconds
            garbage += run.garbage
        engine = opened(workload)
        found["sequencer_work"] = len(workload.commands) / _cpu(partial(_run_as_sequencer, engine, encoded))
        _agree(workload, engine)
        for kind, rate in found.items():
            rates.setdefault(kind, []).append(rate)
            ratios.setdefault(kind, []).append(rate / found["plain_book"])
    return {
        "commands": len(workload.commands),
        "trades": workload.trades,
        "refused": workload.refused,
        "per_cpu_second": {kind: Spread.of(values) for kind, values in rates.items()},
        "ratio_to_plain_book": {kind: Spread.of(values).median for kind, values in ratios.items()},
        "latency_us": _latencies(workload, plain),
        "cyclic_garbage_after_runs": garbage,
    }


class EngineRun(NamedTuple):
    """A workload's commands on a fresh engine: CPU seconds, and the cyclic garbage that they left."""

    seconds: float
    garbage: int


def engine_run(workload: Workload, work: Batches, *, collector: bool = True) -> EngineRun:
    """Run the workload's commands on a fresh engine."""
    engine = opened(workload)
    seconds = _cpu(partial(_run, engine, work), collector=collector)
    _agree(workload, engine)
    # While the engine is there: its own orders point to each other, and are no garbage.
    return EngineRun(seconds, gc.collect())


def _cpu(work: Callable[[], object], *, collector: bool = True) -> float:
    """Return the CPU seconds of some work; what exists already is no business of the collector's."""
    gc.collect()
    gc.freeze()
    if not collector:
        gc.disable()
    started = time.process_time_ns()
    try:
        work()
        return (time.process_time_ns() - started) / 1e9
    finally:
        gc.enable()
        gc.unfreeze()


def _trivial_loop() -> None:
    seen: dict[int, int] = {}

    def step(value: int) -> int:
        return value

    for number in range(TRIVIAL_STEPS):
        seen[number & 1023] = step(number)


def bare_seconds(workload: Workload, book: BareBook | PlainBook) -> float:
    """Return the CPU seconds of the workload's steps on a fresh book."""
    book.run(workload.seed)
    seconds = _cpu(partial(book.run, workload.steps))
    if (book.trades, book.traded_quantity) != (workload.trades, workload.traded_quantity):
        raise AssertionError(f"{type(book).__name__}: expected {workload.trades} trades, was {book.trades}")
    return seconds


def _run(engine: Engine, work: Batches) -> None:
    apply = engine.apply
    for number, batch in enumerate(work):
        engine.begin(START_NS + number * BATCH_NS)
        for command in batch:
            apply(command)
        engine.seal()


def _run_as_sequencer(engine: Engine, work: EncodedBatches) -> None:
    head = GENESIS_HASH
    for number, batch in enumerate(work):
        engine.begin(START_NS + number * BATCH_NS)
        outcomes = []
        for data in batch:
            engine.apply(decode_command(data))
            outcomes.append(engine.outcome)
        state = engine.state
        record = build_record(engine.seal(), batch, last_seq=state.sequence, term=1, timestamp_ns=state.timestamp_ns)
        head = chain_hash(head, encode(record))
        for outcome in outcomes:
            encode(outcome)


def _latencies(workload: Workload, work: Batches) -> dict[str, dict[str, float]]:
    """Return percentiles of one pass, and of every command's quickest of several passes: what is the engine's own.

    The passes are equal, so the collector stops the same commands in each of them.
    """
    found = {}
    for suffix, collector in (("", True), ("_without_collector", False)):
        passes = [_latency_pass(opened(workload), work, collector=collector) for _ in range(LATENCY_PASSES)]
        commands, seals = zip(*passes, strict=True)
        if collector:
            found["command_one_pass"] = _percentiles(commands[0])
        found[f"command_best_of_{LATENCY_PASSES}{suffix}"] = _percentiles(list(map(min, *commands)))
        found[f"seal_best_of_{LATENCY_PASSES}{suffix}"] = _percentiles(list(map(min, *seals)))
    return found


def _latency_pass(engine: Engine, work: Batches, *, collector: bool) -> "tuple[array[int], array[int]]":
    commands, seals = array("q"), array("q")
    _cpu(partial(_timed_run, engine, work, commands, seals), collector=collector)
    return commands, seals


def _timed_run(engine: Engine, work: Batches, commands: "array[int]", seals: "array[int]") -> None:
    clock, apply = time.perf_counter_ns, engine.apply
    for number, batch in enumerate(work):
        engine.begin(START_NS + number * BATCH_NS)
        for command in batch:
            started = clock()
            apply(command)
            commands.append(clock() - started)
        started = clock()
        engine.seal()
        seals.append(clock() - started)


def _percentiles(times_ns: "array[int] | list[int]") -> dict[str, float]:
    ordered = sorted(times_ns)
    found = {f"p{percent:g}": percentile(ordered, percent) / 1000 for percent in PERCENTILES}
    return found | {"max": ordered[-1] / 1000}


def _agree(workload: Workload, engine: Engine) -> None:
    (book,) = engine.state.books.values()
    if book.trade_id != workload.trades:
        raise AssertionError(f"{workload.name}: expected {workload.trades} trades, was {book.trade_id}")
