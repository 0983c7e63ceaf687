"""The whole path: orders through the public API of a running exchange, answered after their commit.

Several rounds of the same scenarios in turn, each with orders of its own, so that a disturbance of the
machine falls on all of them. The load is made by this process; its share of a core is part of the result,
and so is the CPU time that each part of the exchange spent on one order.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import uvloop

from app.dev.client import RequestRefused, RestClient, Signer
from app.load.market import Market, open_market
from app.load.wire import RestWire, StreamWire, get_request, place_frame, signed_request
from benchmarks.exchange import Exchange, cpu_seconds_between
from benchmarks.figures import Spread, percentile, table
from benchmarks.traffic import SEED, orders
from benchmarks.wire import Load

ROUNDS = 3
TRADERS = 4
SATURATED_SHARE = 0.8
"""Above this share of a core the load generator may be what is measured, and the table says so."""
INSERTS = 500
INSERT_BYTES = 400
SETTLE_S = 20.0
_PARTS = ("engine", "replicas", "worker", "postgresql", "valkey", "load")


@dataclass(frozen=True)
class Scenario:
    """One way to send requests; `transport` is `stream`, `rest`, or `health` for the baseline."""

    name: str
    transport: str
    connections: int
    in_flight: int
    requests: int


SCENARIOS = (
    Scenario("WebSocket, one at a time", "stream", 1, 1, 600),
    Scenario("WebSocket, 1 session x 64 in flight", "stream", 1, 64, 4_000),
    Scenario("WebSocket, 4 sessions x 64 in flight", "stream", 4, 64, 6_000),
    Scenario("REST, one at a time", "rest", 1, 1, 400),
    Scenario("REST, 16 connections", "rest", 16, 1, 1_600),
    Scenario("baseline: GET /healthz, one at a time", "health", 1, 1, 1_000),
    Scenario("baseline: GET /healthz, 16 connections", "health", 16, 1, 4_000),
)


@dataclass
class Observed:
    """One run of a scenario."""

    requests_per_s: float
    p50_us: float
    p99_us: float
    load_share: float
    cpu_us: dict[str, float]
    """CPU time of one request by part, the work after its answer included."""


def measure(*, rounds: int = ROUNDS, progress: Callable[[str], None]) -> dict[str, Any]:
    """Start an exchange and return all path figures."""
    progress("path: starting an exchange")
    with Exchange() as exchange, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(exchange, rounds, progress))


def report(figures: dict[str, Any]) -> str:
    """Return the tables of `measure`."""
    rates, costs = [], []
    for name, found in figures["scenarios"].items():
        spreads = [Spread(*found[key]) for key in ("requests_per_s", "p50_us", "p99_us")]
        share = found["load_share"]
        note = " (saturated)" if share > SATURATED_SHARE else ""
        rates.append((name, *(spread.text() for spread in spreads), f"{share:.0%}{note}"))
        costs.append((name, *(f"{found['cpu_us'].get(part, 0):,.0f}" for part in _PARTS)))
    insert = figures["durable_insert"]
    if "skipped" in insert:
        rates.append(("baseline: one-row durable insert", f"skipped: {insert['skipped']}", "", "", ""))
    else:
        spreads = [Spread(*insert[key]) for key in ("inserts_per_s", "p50_us", "p99_us")]
        rates.append(("baseline: one-row durable insert", *(spread.text() for spread in spreads), ""))
    head = ("scenario", "requests/s", "p50 us", "p99 us", "load generator, of one core")
    return "\n".join(
        (
            table("Whole path, median (range) of the rounds", head, rates),
            table("CPU microseconds per request, by part", ("scenario", *_PARTS), costs),
        )
    )


async def _measure(exchange: Exchange, rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    async with RestClient(exchange.rest[0], exchange.administrator) as administrator:
        market = await open_market(administrator, exchange.rest[0], TRADERS)
    observed: dict[str, list[Observed]] = {scenario.name: [] for scenario in SCENARIOS}
    inserts: list[dict[str, float]] = []
    skipped = None
    for number in range(rounds):
        progress(f"path: round {number + 1} of {rounds}")
        for place, scenario in enumerate(SCENARIOS):
            found = await _run(exchange, market, scenario, f"r{number}s{place}")
            observed[scenario.name].append(found)
        try:
            inserts.append(await _insert(exchange.database_url))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            skipped = f"{type(error).__name__}: {error}"
    return {
        "rounds": rounds,
        "seed": SEED,
        "replicas": len(exchange.rest),
        "scenarios": {name: _summary(found) for name, found in observed.items()},
        "durable_insert": {"skipped": skipped}
        if skipped
        else {key: Spread.of([found[key] for found in inserts]) for key in inserts[0]},
    }


def _summary(found: list[Observed]) -> dict[str, Any]:
    parts = {part for one in found for part in one.cpu_us}
    return {
        "requests_per_s": Spread.of([one.requests_per_s for one in found]),
        "p50_us": Spread.of([one.p50_us for one in found]),
        "p99_us": Spread.of([one.p99_us for one in found]),
        "load_share": Spread.of([one.load_share for one in found]).median,
        "cpu_us": {part: Spread.of([one.cpu_us.get(part, 0.0) for one in found]).median for part in sorted(parts)},
    }


async def _run(exchange: Exchange, market: Market, scenario: Scenario, name: str) -> Observed:
    """Run one scenario and wait until everything behind it is done."""
    loads, work = await _prepare(exchange, market, scenario, name)
    try:
        before, load_before, started = exchange.cpu_times(), time.process_time(), time.perf_counter()
        tasks = [load.run(part, in_flight=scenario.in_flight) for load, part in zip(loads, work, strict=True)]
        await asyncio.gather(*tasks)
        seconds, load_cpu = time.perf_counter() - started, time.process_time() - load_before
        if scenario.transport != "health":
            await _settle(exchange, market, loads)
        spent = cpu_seconds_between(before, exchange.cpu_times())
    finally:
        for load in loads:
            load.close()
    latencies = sorted(latency for load in loads for latency in load.latencies_ns)
    cpu_us = {part: cpu_s / scenario.requests * 1e6 for part, cpu_s in spent.items()}
    return Observed(
        requests_per_s=scenario.requests / seconds,
        p50_us=percentile(latencies, 50) / 1000,
        p99_us=percentile(latencies, 99) / 1000,
        load_share=load_cpu / seconds,
        cpu_us=cpu_us | {"load": load_cpu / scenario.requests * 1e6},
    )


async def _prepare(
    exchange: Exchange, market: Market, scenario: Scenario, name: str
) -> tuple[list[Load], list[list[Callable[[], bytes]]]]:
    """Open the connections, replicas in turn, and make their requests ahead."""
    loads: list[Load] = []
    work: list[list[Callable[[], bytes]]] = []
    share = scenario.requests // scenario.connections
    for number in range(scenario.connections):
        credentials = market.traders[number % len(market.traders)]
        replica = number % len(exchange.rest)
        host = urlsplit(exchange.rest[replica]).netloc
        bodies = orders(market.symbol, f"{name}c{number}", share)
        if scenario.transport == "stream":
            loads.append(Load(await StreamWire.connect(exchange.streams[replica], credentials)))
            frames = [place_frame(place, body) for place, body in enumerate(bodies)]
            work.append([partial(bytes, frame) for frame in frames])
        else:
            loads.append(Load(await RestWire.connect(exchange.rest[replica])))
            signer = Signer(credentials)
            if scenario.transport == "rest":
                work.append([partial(signed_request, signer, host, "POST", "/v1/orders", body) for body in bodies])
            else:
                work.append([partial(get_request, host, "/healthz")] * share)
    return loads, work


async def _settle(exchange: Exchange, market: Market, loads: list[Load]) -> None:
    """Return when the projections have everything that was acknowledged."""
    last = max(_engine_seq(load.last_answer) for load in loads)
    deadline = time.monotonic() + SETTLE_S
    async with RestClient(exchange.rest[0], market.traders[0]) as rest:
        while True:
            try:
                await rest.call("GET", f"/v1/balances?min_seq={last}")
                return
            except RequestRefused as refused:
                if refused.code != "not_caught_up" or time.monotonic() > deadline:
                    raise


def _engine_seq(answer: bytes) -> int:
    found = msgspec.json.decode(answer)
    return int(found.get("order", found)["engine_seq"])


async def _insert(database_url: str) -> dict[str, float]:
    """Return how fast this PostgreSQL commits one row at a time: what an answer waits for at least."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE SCHEMA IF NOT EXISTS bench")
        await connection.execute("DROP TABLE IF EXISTS bench.rows")
        await connection.execute("CREATE TABLE bench.rows (id bigint PRIMARY KEY, body bytea NOT NULL)")
        insert = await connection.prepare("INSERT INTO bench.rows VALUES ($1, $2)")
        body = bytes(INSERT_BYTES)
        times = []
        started = time.perf_counter()
        for number in range(INSERTS):
            sent = time.perf_counter_ns()
            await insert.fetchval(number, body)
            times.append(time.perf_counter_ns() - sent)
        seconds = time.perf_counter() - started
    finally:
        await connection.close()
    times.sort()
    return {
        "inserts_per_s": INSERTS / seconds,
        "p50_us": percentile(times, 50) / 1000,
        "p99_us": percentile(times, 99) / 1000,
    }
