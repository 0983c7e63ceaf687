"""The engine leaves no cyclic garbage: the process of the leader runs without the garbage collector.

Each stream runs with the collector off; what a collection then finds was left by the engine alone.
"""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.domain.commands import Tick
from app.engine.engine import Engine
from app.engine.matching import Matcher
from app.engine.state import Order
from tests.property.duel import NOON_NS, bounds_of, regrouped
from tests.property.streams import Stream

SEEDS = range(60)
COMMANDS = 400


@contextmanager
def collector_off() -> Iterator[None]:
    """Let nothing be collected; what there is already does not count."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


def garbage_of(seed: int) -> Counter[str]:
    """Run a stream; return the kinds of objects that only the collector would have freed."""
    stream = Stream(seed)
    with collector_off(), bounds_of(stream.profile):
        engine = Engine()
        run(engine, stream)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return Counter(type(each).__name__ for each in gc.garbage)


def run(engine: Engine, stream: Stream) -> None:
    """Apply the stream's commands in batches, with Ticks where they are due."""
    pending, applied, now_ns = stream.setup(), 0, NOON_NS
    while applied < COMMANDS:
        now_ns = stream.now_ns = now_ns + stream.pause_ns()
        engine.begin(now_ns)
        deadline = engine.next_deadline
        if deadline is not None and deadline <= now_ns:
            stream.observe(engine.apply(Tick()))
        for _ in range(stream.batch_size()):
            stream.observe(engine.apply(pending.pop(0) if pending else stream.next()))
            applied += 1
        stream.observe(regrouped(engine.seal()).sums())


@pytest.mark.parametrize("seed", SEEDS)
def test_random_streams_leave_no_cyclic_garbage(seed: int) -> None:
    assert garbage_of(seed) == Counter()


def test_a_cycle_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forget = Matcher._forget

    def tied(self: Matcher, order: Order) -> None:
        order.ahead = order
        forget(self, order)

    monkeypatch.setattr(Matcher, "_forget", tied)
    assert any(garbage_of(seed)["Order"] for seed in SEEDS)
