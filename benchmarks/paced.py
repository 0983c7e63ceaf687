"""Evenly paced commands over the engine's link, encoded before the clock starts: what a replica waits for.

Each leaves at its moment, decided ahead, whatever became of those before it. Two times are kept: from the moment on,
and from the sending on, which leaves out how late the system's timer woke this process; nothing else delays a sending.
"""

import asyncio
import gc
import selectors
import time
from collections.abc import Sequence
from itertools import islice

from app.link.frames import Answer, decode_reply
from app.load.arrivals import Arrivals, moments
from app.load.run import LinkPlace
from benchmarks.bare_book import PlainBook
from benchmarks.engine import bare_seconds
from benchmarks.engine_role import EngineServers
from benchmarks.figures import Spread, percentile
from benchmarks.link_wire import RUN_TIMEOUT_S, LinkEnd, LinkWire, frames_of
from benchmarks.path import durable_inserts
from benchmarks.workloads import Workload

RATE = 1_000.0
ROUNDS = 20
ROUND_COMMANDS = 2_000
WARM_UP_COMMANDS = 2_000
SETUP_IN_FLIGHT = 500
PERCENTS = (50, 99)
"""Of both a durable insert is the unit: the median in medians, p99 in p99s."""
LEAD_S = 0.05
"""Before the first moment of a round."""


class PacedWire(LinkEnd):
    """Sends at given moments and notes, in seconds from the start, when it sent and heard."""

    async def run_at(self, frames: Sequence[bytes], moments_s: Sequence[float], first_id: int) -> None:
        """Send every frame at its moment; their request ids count on from the first. Returns with the last answer."""
        self._begin(frames)
        self._moments, self._first_id, self._next = moments_s, first_id, 0
        self.sent_s, self.heard_s = [0.0] * len(frames), [0.0] * len(frames)
        self._started = time.perf_counter()
        self._send_due()
        await asyncio.wait_for(self._done, RUN_TIMEOUT_S)

    def _send_due(self) -> None:
        now_s = time.perf_counter() - self._started
        while self._next < len(self._frames) and self._moments[self._next] <= now_s:
            self.sent_s[self._next] = now_s
            self._write(self._frames[self._next])
            self._next += 1
            now_s = time.perf_counter() - self._started
        if self._next < len(self._frames):
            asyncio.get_running_loop().call_later(self._moments[self._next] - now_s, self._send_due)

    def _take(self, answers: list[bytes]) -> None:
        now_s = time.perf_counter() - self._started
        for body in answers:
            reply = decode_reply(body)
            assert isinstance(reply, Answer), f"expected an outcome, was {reply}"
            self.heard_s[reply.request_id - self._first_id] = now_s


def measure_paced(servers: EngineServers, shard: int, workload: Workload) -> dict[str, Spread]:
    """Return what a replica waits for at an even load, commit included: in ms, and in work of this machine."""
    # Timers of epoll, and so of the usual loops, know milliseconds only.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        found = runner.run(_measure(servers, servers.place(shard), workload))
    return {name: Spread.of(values) for name, values in found.items()}


async def _measure(servers: EngineServers, place: LinkPlace, workload: Workload) -> dict[str, list[float]]:
    first = len(workload.setup) + WARM_UP_COMMANDS
    frames = frames_of([*workload.setup, *workload.commands[: WARM_UP_COMMANDS + ROUNDS * ROUND_COMMANDS]])
    warm = await LinkWire.connect(place)
    await warm.run(frames[:first], in_flight=SETUP_IN_FLIGHT)
    warm.close()
    found: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        steps_per_ms = len(workload.steps) / bare_seconds(workload, PlainBook()) / 1000
        inserts = await durable_inserts(servers.database_url)
        start = first + number * ROUND_COMMANDS
        figures = await _round(place, frames[start : start + ROUND_COMMANDS], start + 1, number)
        for part in ("latency", "answer"):
            for percent in PERCENTS:
                insert_ms = inserts[f"p{percent}_us"] / 1000
                figures[f"{part}_p{percent}_in_durable_inserts"] = figures[f"{part}_p{percent}_ms"] / insert_ms
            figures[f"{part}_p50_in_plain_book_steps"] = figures[f"{part}_p50_ms"] * steps_per_ms
        for name, value in figures.items():
            found.setdefault(name, []).append(value)
    return found


async def _round(place: LinkPlace, frames: Sequence[bytes], first_id: int, seed: int) -> dict[str, float]:
    # A link for each round: nobody keeps one alive between two.
    wire = await PacedWire.connect(place)
    gc.collect()
    try:
        meant_s = [LEAD_S + moment for moment in islice(moments(Arrivals.POISSON, RATE, seed), len(frames))]
        await wire.run_at(frames, meant_s, first_id)
    finally:
        wire.close()
    times = {
        "latency": _differences(meant_s, wire.heard_s),
        "answer": _differences(wire.sent_s, wire.heard_s),
        "send_delay": _differences(meant_s, wire.sent_s),
    }
    return {
        f"{part}_p{percent}_ms": percentile(values, percent) * 1000
        for part, values in times.items()
        for percent in PERCENTS
    }


def _differences(begun: Sequence[float], ended: Sequence[float]) -> list[float]:
    return sorted(end - begin for begin, end in zip(begun, ended, strict=True))
