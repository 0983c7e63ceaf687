"""Whether a command costs the same in a large exchange, with more instruments, resting orders or accounts; and memory.

The same commands (place one that rests, cancel it) are timed on engines that differ in one size only, interleaved in
each round; the ratio of the largest to the smallest is the figure.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from app.domain.commands import CancelOrder, Command, CreateAccount, CreateAsset, CreateInstrument, Deposit, PlaceOrder
from app.domain.enums import OrderType, Side
from app.domain.identity import FIRST_ACCOUNT_ID
from app.engine.engine import Engine
from benchmarks.figures import Spread, table

ROUNDS = 3
SEED = 11
COMMANDS = 40_000
BATCH_COMMANDS = 64
START_NS = 1_700_000_000_000_000_000
MIDDLE = 1_000_000
"""Price in ticks that bids stay below and asks above."""
DEPTH = 2_000
"""Price levels a side."""
FUNDS = str(10**24)
MEMORY_ORDERS = 200_000
PAGE_BYTES = 4096


class Size(NamedTuple):
    """How large an exchange is when the clock starts."""

    instruments: int = 1
    orders: int = 1_000
    accounts: int = 100


GROWTHS = {
    "instruments": (Size(instruments=1, orders=10_000), Size(instruments=1_000, orders=10_000)),
    "resting orders": (Size(orders=1_000), Size(orders=1_000_000)),
    "accounts": (Size(accounts=100), Size(accounts=100_000)),
}


def measure(*, rounds: int = ROUNDS, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return microseconds per command at each size, and bytes per resting order."""
    progress("scaling: memory")
    # First: later there is freed memory that the orders would move into.
    found: dict[str, Any] = {
        "rounds": rounds,
        "seed": SEED,
        "bytes_per_resting_order": _bytes_per_order(),
        "growth": {},
    }
    for name, sizes in GROWTHS.items():
        engines = [filled(size) for size in sizes]
        times: list[list[float]] = [[] for _ in sizes]
        for number in range(rounds):
            progress(f"scaling: {name}, round {number + 1} of {rounds}")
            for engine, size, values in zip(engines, sizes, times, strict=True):
                values.append(_cpu_us_per_command(engine, size, number))
        ratios = [large / small for small, large in zip(*times, strict=True)]
        found["growth"][name] = {
            "sizes": [getattr(size, name.rpartition(" ")[2]) for size in sizes],
            "us_per_command": [Spread.of(values) for values in times],
            "ratio": Spread.of(ratios),
        }
    return found


def report(figures: dict[str, Any]) -> str:
    """Return the table of `measure`."""
    rows = []
    for name, entry in figures["growth"].items():
        small, large = (Spread(*values).text(1) for values in entry["us_per_command"])
        sizes = [f"{size:,}" for size in entry["sizes"]]
        rows.append((name, " to ".join(sizes), small, large, Spread(*entry["ratio"]).text(2)))
    head = ("what grows", "from, to", "us per command, small", "large", "ratio")
    return table("Scaling", head, rows) + f"Bytes per resting order: {figures['bytes_per_resting_order']:.0f}\n"


def symbol_of(number: int) -> str:
    """Return the symbol of an instrument."""
    return f"S{number}"


def _opened(size: Size) -> Engine:
    engine = Engine()
    engine.begin(START_NS)
    commands: list[Command] = [CreateAsset("B", 0), CreateAsset("Q", 0)]
    commands += [
        CreateInstrument(symbol_of(n), "B", "Q", "1", "1", maker_fee=10_000, taker_fee=20_000)
        for n in range(size.instruments)
    ]
    for number in range(size.accounts):
        commands.append(CreateAccount(f"account-{number}"))
        commands += [Deposit(FIRST_ACCOUNT_ID + number, asset, FUNDS, asset) for asset in ("B", "Q")]
    for command in commands:
        _accept(engine, command)
    engine.seal()
    return engine


def filled(size: Size) -> Engine:
    """Return an engine with resting orders spread over its instruments and accounts."""
    engine = _opened(_admitting(size))
    for command in resting(size, random.Random(SEED), size.orders):
        _accept(engine, command)
    engine.seal()
    return engine


def _admitting(size: Size) -> Size:
    """Return the size with enough accounts that none has more than 4,000 open orders."""
    return size._replace(accounts=max(size.accounts, size.orders // 4_000 + 1))


def resting(size: Size, rng: random.Random, count: int) -> Iterator[PlaceOrder]:
    """Yield orders that rest, spread over instruments, accounts and prices."""
    accounts = _admitting(size).accounts
    for number in range(count):
        buys = number % 2 == 0
        distance = 1 + rng.randrange(DEPTH)
        yield PlaceOrder(
            # Buyers and sellers are different accounts: nothing meets itself.
            FIRST_ACCOUNT_ID + (number % accounts if accounts < 2 else 2 * rng.randrange(accounts // 2) + buys),
            symbol_of(rng.randrange(size.instruments)),
            Side.BUY if buys else Side.SELL,
            OrderType.LIMIT,
            1 + rng.randrange(100),
            MIDDLE - distance if buys else MIDDLE + distance,
        )


def _cpu_us_per_command(engine: Engine, size: Size, number: int) -> float:
    """Return CPU microseconds a command; the engine's size stays about the same."""
    rng = random.Random(SEED + number)
    pairs = list(resting(size, rng, COMMANDS // 2))
    begin, apply, seal = engine.begin, engine.apply, engine.seal
    count = 0
    gc.collect()
    gc.freeze()
    started = time.process_time_ns()
    for place in pairs:
        if count % BATCH_COMMANDS == 0:
            begin(START_NS)
        apply(place)
        outcome = engine.outcome
        if outcome.order is not None:
            apply(CancelOrder(place.account_id, outcome.order.order_id))
        count += 2
        if count % BATCH_COMMANDS == 0:
            seal()
    seal()
    elapsed = time.process_time_ns() - started
    gc.unfreeze()
    return elapsed / count / 1000


def _bytes_per_order() -> float:
    """Return how much resident memory a resting order takes, its terms and index entries included."""
    size = Size(orders=MEMORY_ORDERS)
    engine = _opened(_admitting(size))
    gc.collect()
    before = _resident_bytes()
    for number, command in enumerate(resting(size, random.Random(SEED), size.orders)):
        _accept(engine, command)
        if number % BATCH_COMMANDS == 0:
            engine.seal()
    engine.seal()
    gc.collect()
    return (_resident_bytes() - before) / size.orders


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def _accept(engine: Engine, command: Command) -> None:
    engine.apply(command)
    if engine.outcome.rejection is not None:
        raise AssertionError(f"{command} was refused: {engine.outcome.rejection}")
