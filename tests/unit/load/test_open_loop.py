"""The measure of the load: moments decided ahead, delays that cannot hide, counts that add up, bounded memory."""

import asyncio
import random
from itertools import islice, pairwise

import pytest

from app.load.arrivals import Arrivals, moments
from app.load.flow import OPEN_MAX, Cancel, Place, Trader
from app.load.latency import Latencies
from app.load.open_loop import OpenLoop
from app.load.plan import Plan


class Server:
    """Answers each request after a time of its own; while it stands still nothing is answered at all."""

    def __init__(self, loop: OpenLoop, *, still: tuple[float, float] = (0, 0), every_third: str = "ack") -> None:
        self.loop = loop
        self.still = still
        self.every_third = every_third
        self.sent: list[float] = []
        self.given_up: list[int] = []
        self.waiting_peak = 0
        self._began: float | None = None

    def can_send(self) -> bool:
        return True

    def send(self, number: int) -> None:
        clock = asyncio.get_running_loop()
        self._began = self._began or clock.time()
        self.sent.append(clock.time() - self._began)
        self.waiting_peak = max(self.waiting_peak, self.loop.in_flight)
        first, last = self.still
        delay = last - self.sent[-1] if first <= self.sent[-1] < last else 0.001
        if number % 3 == 0 and self.every_third == "silence":
            return
        clock.call_later(delay, self.answer, number)

    def give_up(self, number: int) -> None:
        self.given_up.append(number)

    def answer(self, number: int) -> None:
        if number % 3 == 0 and self.every_third == "refuse":
            self.loop.refused(number, f"code-{number}")
        elif number % 3 == 0 and self.every_third == "lose":
            self.loop.lost(number)
        else:
            self.loop.acknowledged(number)


def test_moments_are_the_same_for_the_same_seed_and_come_at_the_rate() -> None:
    first, again, other = (list(islice(moments(Arrivals.POISSON, 100, seed), 20_000)) for seed in (1, 1, 2))
    assert first == again != other
    assert first[-1] == pytest.approx(200, rel=0.03)
    gaps = sorted(later - earlier for earlier, later in pairwise(first))
    assert gaps[len(gaps) // 2] == pytest.approx(0.00693, rel=0.05)  # the median of exponential gaps is ln 2 / rate
    assert list(islice(moments(Arrivals.CONSTANT, 4, 1), 3)) == [0, 0.25, 0.5]


def test_latencies_are_known_to_one_in_sixty_four() -> None:
    choice = random.Random(3)
    values = sorted(int(choice.lognormvariate(13, 2)) for _ in range(20_000))
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    for percent in (1, 50, 90, 99, 99.9, 100):
        exact = values[min(int(len(values) * percent / 100 + 0.999999), len(values)) - 1]
        assert exact <= latencies.percentile_ns(percent) <= exact * (1 + 1 / 64) + 1
    assert latencies.summary_ms()["max"] == round(values[-1] / 1e6, 4)


def test_latencies_of_nothing_say_nothing() -> None:
    assert Latencies().summary_ms() == dict.fromkeys(("p50", "p90", "p99", "p99_9", "max", "mean")) | {"count": 0}


async def test_a_server_that_stands_still_is_charged_for_every_request_that_should_have_gone_out() -> None:
    loop = OpenLoop(Plan(rate=500, seconds=1, arrivals=Arrivals.CONSTANT, in_flight_max=10))
    tally = await loop.run(Server(loop, still=(0.2, 0.7)))
    assert (tally.scheduled, tally.unsent) == (500, 0)
    # Half of the moments lay in the half second of silence: a closed loop would have seen ten slow answers.
    assert tally.latencies.percentile_ns(60) > 50e6
    assert tally.latencies.percentile_ns(99) > 450e6
    assert tally.send_delays.percentile_ns(99) > 400e6


async def test_what_is_under_way_never_passes_its_bound_and_what_never_left_is_counted_with_its_wait() -> None:
    loop = OpenLoop(Plan(rate=1_000, seconds=0.5, arrivals=Arrivals.CONSTANT, in_flight_max=7))
    server = Server(loop, still=(0.1, 0.8))
    tally = await loop.run(server)
    assert server.waiting_peak == tally.in_flight_peak == 7
    assert tally.scheduled == 500
    assert tally.unsent > 300
    assert tally.latencies.count == 500
    assert tally.figures()["send_delay_ms"]["max"] > 350


@pytest.mark.parametrize("fate", ["refuse", "lose", "silence"])
async def test_counts_add_up_and_every_fate_has_its_own(fate: str) -> None:
    loop = OpenLoop(Plan(rate=400, seconds=0.3, in_flight_max=1_000), answer_timeout_s=0.2)
    server = Server(loop, every_third=fate)
    tally = await loop.run(server)
    thirds = (tally.sent + 2) // 3
    assert tally.sent == tally.scheduled > 60
    assert tally.acknowledged == tally.sent - thirds
    if fate == "refuse":
        assert (sum(tally.refused.values()), tally.lost) == (thirds, 0)
        assert tally.refused["code-3"] == 1
        assert tally.latencies.count == tally.acknowledged
    else:
        assert (tally.refused, tally.lost) == ({}, thirds)
        assert tally.latencies.count == tally.sent
        assert len(server.given_up) == (thirds if fate == "silence" else 0)


async def test_an_answer_that_comes_after_all_is_late_and_changes_no_count() -> None:
    loop = OpenLoop(Plan(rate=100, seconds=0.1), answer_timeout_s=0.05)
    server = Server(loop, still=(0, 0.4))
    tally = await loop.run(server)
    lost = tally.lost
    assert lost == tally.sent > 0
    await asyncio.sleep(0.45)
    assert (tally.acknowledged, tally.lost, tally.late_answers) == (0, lost, lost)


async def test_different_codes_beyond_the_bound_are_counted_together() -> None:
    loop = OpenLoop(Plan(rate=4_000, seconds=0.3, in_flight_max=9_000))
    tally = await loop.run(Server(loop, every_third="refuse"))
    assert len(tally.refused) == 101
    assert sum(tally.refused.values()) == (tally.sent + 2) // 3
    assert tally.refused["other"] == sum(tally.refused.values()) - 100


async def test_a_fault_of_whoever_watches_ends_the_run_with_it() -> None:
    loop = OpenLoop(Plan(rate=100, seconds=0.2))

    def watch() -> None:
        raise RuntimeError("the terminal is gone")

    with pytest.raises(RuntimeError, match="terminal"):
        await loop.run(Server(loop), watch=watch, watch_s=0.05)


def test_a_trader_keeps_its_open_orders_bounded_and_repeats_no_name() -> None:
    trader = Trader("t", 1)
    open_orders: set[int] = set()
    names: set[str] = set()
    for number in range(3_000):
        request = trader.next_request()
        if isinstance(request, Cancel):
            open_orders.remove(request.order_id)
            continue
        assert request.client_order_id not in names
        names.add(request.client_order_id)
        if request.rests:
            open_orders.add(number)
        trader.acknowledged(request, number)
        assert len(open_orders) <= OPEN_MAX + 1
    assert len(open_orders) >= OPEN_MAX - 1
    again, other = Trader("t", 1), Trader("t", 2)
    first = [Trader("t", 1).next_request() for _ in range(1)]
    assert first == [again.next_request()] != [other.next_request()]
    assert isinstance(first[0], Place)
