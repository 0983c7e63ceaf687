"""A day's first 30,000 real commands on AAPL: the engine gives exactly the venue's fills and best prices.

The files are described in the data folder's README: seed orders, commands, fills, and the best bid and offer after
each command. Without the folder the test is skipped, unless ORDERWIRE_REQUIRE_DATA=1, which makes that a failure.
"""

import csv
import gzip
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.domain.commands import (
    AmendOrder,
    CancelOrder,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
)
from app.domain.enums import OrderType, Side, TimeInForce
from app.domain.events import TradeExecuted
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import accepted

DATA = Path(os.environ.get("ORDERWIRE_DATA", Path(__file__).parents[3] / "shared" / "data"))
PREFIX = "lobster_aapl_first30k"
COMMANDS, FILLS, QUOTES = 30_000, 1_673, 29_974
BATCH = 64
BUYER, SELLER = 1001, 1002
FUNDS = str(10**30)

Quote = tuple[int, int, int, int]
"""Ask, its quantity, bid, its quantity; zeros for an empty side."""


class Line(NamedTuple):
    """One command of the file."""

    number: int
    kind: str
    oid: int
    side: int
    price: int
    quantity: int


def rows(name: str) -> Iterator[list[str]]:
    """Yield the rows of one file without its header."""
    path = DATA / f"{PREFIX}_{name}.csv.gz"
    if not path.exists():
        if os.environ.get("ORDERWIRE_REQUIRE_DATA") == "1":
            pytest.fail(f"{path} is required and missing")
        pytest.skip(f"{path} is missing: set ORDERWIRE_DATA to the folder with the recorded market data")
    with gzip.open(path, "rt") as file:
        reader = csv.reader(file)
        next(reader)
        yield from reader


class Venue:
    """The engine as the recorded venue: one account buys, one sells, orders go by the venue's ids."""

    def __init__(self) -> None:
        self.engine = Engine()
        for command in (
            CreateAsset("AAPL", 0),
            CreateAsset("USD", 0),
            CreateInstrument("AAPL", "AAPL", "USD", "1", "1"),
            CreateAccount("buyer"),
            CreateAccount("seller"),
            Deposit(BUYER, "USD", FUNDS, "seed"),
            Deposit(SELLER, "AAPL", FUNDS, "seed"),
        ):
            accepted(self.engine, command)
        self.order_ids: dict[int, int] = {}
        self.oids: dict[int, int] = {}

    def place(self, line: Line, time_in_force: TimeInForce = TimeInForce.GTC) -> list[tuple[int, int, int]]:
        """Place an order; returns its fills as maker, price and quantity."""
        account_id, side = (BUYER, Side.BUY) if line.side > 0 else (SELLER, Side.SELL)
        command = PlaceOrder(account_id, "AAPL", side, OrderType.LIMIT, line.quantity, line.price, time_in_force)
        events = accepted(self.engine, command)
        assert self.engine.outcome.order is not None
        order_id = self.engine.outcome.order.order_id
        self.order_ids[line.oid], self.oids[order_id] = order_id, line.oid
        trades = [event for event in events if isinstance(event, TradeExecuted)]
        return [(self.oids[trade.maker_order_id], trade.price, trade.quantity) for trade in trades]

    def reduce(self, line: Line) -> None:
        """Lower an order in place."""
        order = self.engine.state.orders[self.order_ids[line.oid]].state
        accepted(self.engine, AmendOrder(self.owner(line), order.order_id, quantity=order.quantity - line.quantity))

    def delete(self, line: Line) -> None:
        """Cancel an order."""
        accepted(self.engine, CancelOrder(self.owner(line), self.order_ids[line.oid]))

    def owner(self, line: Line) -> int:
        return self.engine.state.orders[self.order_ids[line.oid]].terms.account_id

    def execute(self, line: Line) -> list[tuple[int, int, int]]:
        """Execute one command; returns its fills."""
        match line.kind:
            case "N":
                return self.place(line)
            case "I":
                return self.place(line, TimeInForce.IOC)
            case "X":
                self.reduce(line)
            case "D":
                self.delete(line)
            case "R":
                self.delete(line)
                return self.place(line)
        return []

    def quote(self) -> Quote:
        """Return the best ask and bid."""
        top = self.engine.state.books["AAPL"].top(0)
        return top.ask, top.ask_quantity, top.bid, top.bid_quantity


class Recorded(NamedTuple):
    """The files of the set; fills as maker, price and quantity by command."""

    seed: list[Line]
    commands: list[Line]
    fills: dict[int, list[tuple[int, int, int]]]
    quotes: dict[int, Quote]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    fills: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for number, _, maker, price, quantity in rows("fills"):
        fills[int(number)].append((int(maker), int(price), int(quantity)))
    seed = [Line(0, "N", *map(int, numbers)) for numbers in rows("seed")]
    commands = [Line(int(number), kind, *map(int, numbers)) for number, kind, *numbers in rows("commands")]
    quotes: dict[int, Quote] = {}
    for number, ask, ask_quantity, bid, bid_quantity in rows("bbo"):
        quotes[int(number)] = int(ask), int(ask_quantity), int(bid), int(bid_quantity)
    return Recorded(seed, commands, fills, quotes)


def play(recorded: Recorded) -> tuple[Venue, int, int]:
    """Run the set, comparing after each command; returns the venue and how many fills and quotes agreed."""
    venue, filled, quoted = Venue(), 0, 0
    for line in recorded.seed:
        assert venue.place(line) == [], f"seed order {line} trades"
    for count, line in enumerate(recorded.commands, 1):
        found = venue.execute(line)
        assert found == recorded.fills.get(line.number, []), f"fills of {line}"
        filled += len(found)
        if line.number in recorded.quotes:
            assert venue.quote() == recorded.quotes[line.number], f"best prices after {line}"
            quoted += 1
        if count % BATCH == 0:
            venue.engine.seal()
    venue.engine.seal()
    return venue, filled, quoted


def test_real_order_flow_gives_exactly_the_venues_fills_and_best_prices(recorded: Recorded) -> None:
    venue, filled, quoted = play(recorded)
    assert (len(recorded.commands), filled, quoted) == (COMMANDS, FILLS, QUOTES)
    invariants.check(venue.engine.state)


def test_altered_fill_is_noticed(recorded: Recorded) -> None:
    first = min(recorded.fills)
    for place, change in enumerate((1, 1, -1)):
        fill = list(recorded.fills[first][0])
        fill[place] += change
        altered = recorded.fills | {first: [(fill[0], fill[1], fill[2])]}
        part = recorded._replace(commands=recorded.commands[: first + 1], fills=altered)
        with pytest.raises(AssertionError, match=f"fills of Line\\(number={first},"):
            play(part)


def test_altered_quote_is_noticed(recorded: Recorded) -> None:
    ask, ask_quantity, bid, bid_quantity = recorded.quotes[9]
    part = recorded._replace(commands=recorded.commands[:10])
    play(part)
    with pytest.raises(AssertionError, match="best prices after"):
        play(part._replace(quotes=recorded.quotes | {9: (ask, ask_quantity, bid, bid_quantity + 1)}))
