"""Sends at the moments that were decided ahead and measures from those, so that a slow server cannot hide its delays.

A request that could not leave at its moment (the bound on what is under way, or no connection) leaves as soon as
it can, and its wait counts. Memory is bounded: what is under way by `in_flight_max`, the rest is counters.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from app.load.arrivals import moments
from app.load.latency import Latencies
from app.load.plan import Plan

ANSWER_TIMEOUT_S = 10.0
"""A request without an answer for so long is lost."""
SWEEP_S = 0.1
BURST_MAX = 256
"""Requests sent before answers are looked at again."""
CODES_MAX = 100
"""Different codes of refusals that are kept apart."""
OTHER_CODES = "other"


class Observer(Protocol):
    """What a target tells of a request; each number once."""

    def acknowledged(self, number: int) -> None:
        """Count a request that was executed and committed."""

    def refused(self, number: int, code: str) -> None:
        """Count a request that was answered with a refusal."""

    def lost(self, number: int) -> None:
        """Count a request whose outcome nobody will tell."""

    def ready(self) -> None:
        """Learn that the target can send again."""


class Target(Protocol):
    """Where requests go."""

    def can_send(self) -> bool:
        """Return whether a request can leave now."""

    def send(self, number: int) -> None:
        """Send one request; its observer hears of it later, never from within this call."""

    def give_up(self, number: int) -> None:
        """Forget a request that was not answered in time."""


class _UnderWay(NamedTuple):
    meant_ns: int
    sent_ns: int


@dataclass
class Tally:
    """What became of everything that was meant to be sent."""

    scheduled: int = 0
    sent: int = 0
    acknowledged: int = 0
    lost: int = 0
    late_answers: int = 0
    """Answers to what was counted as lost already."""
    in_flight_peak: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=Latencies)
    """From the intended moment to the acknowledgement; of what was lost or never sent, as long as it had waited."""
    send_delays: Latencies = field(default_factory=Latencies)
    """From the intended moment to the sending."""
    answer_times: Latencies = field(default_factory=Latencies)
    """From the sending to the acknowledgement; of what was lost, as long as it had waited."""
    seconds: float = 0.0
    cpu_share: float = 0.0
    """Of one core, taken by the load itself."""

    @property
    def unsent(self) -> int:
        """Requests whose moment came and that never left."""
        return self.scheduled - self.sent

    def figures(self) -> dict[str, Any]:
        """Return everything as plain values; sent is acknowledged, refused, lost and nothing else once a run ended."""
        return {
            "scheduled": self.scheduled,
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "refused": dict(sorted(self.refused.items())),
            "lost": self.lost,
            "unsent": self.unsent,
            "late_answers": self.late_answers,
            "in_flight_peak": self.in_flight_peak,
            "seconds": round(self.seconds, 3),
            "acknowledged_per_s": round(self.acknowledged / self.seconds, 1) if self.seconds else 0.0,
            "latency_ms": self.latencies.summary_ms(),
            "send_delay_ms": self.send_delays.summary_ms(),
            "answer_ms": self.answer_times.summary_ms(),
            "load_cpu_share": round(self.cpu_share, 3),
        }


class OpenLoop:
    """One run of a plan against a target; it is the target's observer. `run` once."""

    def __init__(self, plan: Plan, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._plan = plan
        self._answer_timeout_ns = int(answer_timeout_s * 1e9)
        self._moments = moments(plan.arrivals, plan.rate, plan.seed)
        self._under_way: dict[int, _UnderWay] = {}
        self._wake = asyncio.Event()
        self._started_ns = 0
        self._cpu_before = 0.0
        self.tally = Tally()

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return len(self._under_way)

    async def run(self, target: Target, *, watch: Callable[[], None] | None = None, watch_s: float = 0.25) -> Tally:
        """Send until the plan's time is over, wait for the answers, and return what became of everything."""
        self._started_ns, self._cpu_before = time.perf_counter_ns(), time.process_time()
        tasks = [asyncio.create_task(self._sweep(target))]
        if watch is not None:
            tasks.append(asyncio.create_task(self._watch(watch, watch_s)))
        try:
            next_s = await self._send_all(target)
            self._count_seconds()
            while self._under_way:
                await self._sleep(SWEEP_S)
            self._count_unsent(next_s)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for fault in ended:
            if isinstance(fault, Exception):
                raise fault
        return self.tally

    # ---- what the target tells -----------------------------------------------------------------

    def acknowledged(self, number: int) -> None:
        """Count an acknowledgement and how long it took."""
        if (request := self._settle(number)) is not None:
            self.tally.acknowledged += 1
            self._count_time(request)

    def refused(self, number: int, code: str) -> None:
        """Count a refusal; it has no place among the latencies, which it would flatter."""
        if self._settle(number) is not None:
            refused = self.tally.refused
            name = code if code in refused or len(refused) < CODES_MAX else OTHER_CODES
            refused[name] = refused.get(name, 0) + 1

    def lost(self, number: int) -> None:
        """Count a request without an outcome, with the time it had waited."""
        if (request := self._settle(number)) is not None:
            self.tally.lost += 1
            self._count_time(request)

    def ready(self) -> None:
        """Go on sending."""
        self._wake.set()

    def _settle(self, number: int) -> _UnderWay | None:
        request = self._under_way.pop(number, None)
        if request is None:
            self.tally.late_answers += 1
        self._wake.set()
        return request

    def _count_time(self, request: _UnderWay) -> None:
        now_ns = time.perf_counter_ns()
        self.tally.latencies.add(now_ns - request.meant_ns)
        self.tally.answer_times.add(now_ns - request.sent_ns)

    # ---- sending -------------------------------------------------------------------------------

    async def _send_all(self, target: Target) -> float:
        """Send what the plan says; returns the first moment that was not served, in seconds."""
        plan, next_s = self._plan, next(self._moments)
        while next_s < plan.seconds:
            now_s = self._now_s()
            room = plan.in_flight_max - len(self._under_way)
            for _ in range(min(room, BURST_MAX)):
                if next_s > now_s or next_s >= plan.seconds or not target.can_send():
                    break
                self._send(target, next_s)
                next_s = next(self._moments)
            if next_s > now_s:
                await asyncio.sleep(min(next_s, plan.seconds) - now_s)
            elif len(self._under_way) < plan.in_flight_max and target.can_send():
                await asyncio.sleep(0)
            elif now_s < plan.seconds:
                await self._sleep(plan.seconds - now_s)
            else:
                break
        await asyncio.sleep(plan.seconds - self._now_s())
        return next_s

    def _send(self, target: Target, meant_s: float) -> None:
        tally, sent_ns = self.tally, time.perf_counter_ns()
        meant_ns = self._started_ns + int(meant_s * 1e9)
        number = tally.sent
        tally.sent += 1
        tally.scheduled += 1
        self._under_way[number] = _UnderWay(meant_ns, sent_ns)
        tally.in_flight_peak = max(tally.in_flight_peak, len(self._under_way))
        tally.send_delays.add(sent_ns - meant_ns)
        target.send(number)

    async def _sleep(self, seconds: float) -> None:
        """Wait for news, but no longer."""
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    def _count_unsent(self, next_s: float) -> None:
        """Count what was meant to leave before the end and did not, with the time it had waited by then."""
        plan = self._plan
        while next_s < plan.seconds:
            waited_ns = int((plan.seconds - next_s) * 1e9)
            self.tally.scheduled += 1
            self.tally.latencies.add(waited_ns)
            self.tally.send_delays.add(waited_ns)
            next_s = next(self._moments)

    async def _sweep(self, target: Target) -> None:
        """Give up what was not answered in time; the oldest stand first."""
        while True:
            await asyncio.sleep(SWEEP_S)
            late_ns = time.perf_counter_ns() - self._answer_timeout_ns
            while self._under_way:
                number, request = next(iter(self._under_way.items()))
                if request.sent_ns > late_ns:
                    break
                self.lost(number)
                target.give_up(number)

    async def _watch(self, watch: Callable[[], None], watch_s: float) -> None:
        while True:
            await asyncio.sleep(watch_s)
            self._count_seconds()
            watch()

    def _count_seconds(self) -> None:
        seconds = self._now_s()
        self.tally.seconds = seconds
        self.tally.cpu_share = (time.process_time() - self._cpu_before) / seconds

    def _now_s(self) -> float:
        return (time.perf_counter_ns() - self._started_ns) / 1e9
