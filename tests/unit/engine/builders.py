"""Builders of the engine's tests: an engine with balances and resting orders, and short words for commands.

The default instrument is `BTC-USD` with one unit per lot and per tick times lot, so that notional = price x
quantity and every expected number can be worked out by head. Rates are in parts of 1e8 (`PERCENT` is 1 %).
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from app.domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
    Tick,
    UpdateInstrument,
)
from app.domain.enums import InstrumentStatus, OrderType, RejectReason, Side, TimeInForce
from app.domain.events import Event, OrderCanceled, OrderState, Rejection
from app.engine import invariants
from app.engine.checkpoint import state_hash
from app.engine.engine import Engine
from app.engine.state import Order

T = TypeVar("T")

ALICE, BOB, CAROL = 1001, 1002, 1003
SYMBOL, BASE, QUOTE = "BTC-USD", "BTC", "USD"
PERCENT = 1_000_000
BASIS_POINT = 10_000
RICH = 10**24
NOON_NS = 1_700_000_000_000_000_000
IOC, FOK, GTC = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC

Balances = Mapping[int, Mapping[str, int]]


def engine_with(resting: Iterable[PlaceOrder] = (), balances: Balances | None = None, **instrument: Any) -> Engine:
    """Return an engine with one instrument, three accounts and resting orders, its first batch sealed.

    Without `balances` everybody is rich; with it an account has exactly what is named. `instrument` takes any
    field of CreateInstrument.
    """
    engine = Engine()
    engine.begin(NOON_NS)
    setup: list[Command] = [CreateAsset(BASE, 0), CreateAsset(QUOTE, 0), instrument_command(**instrument)]
    setup += [CreateAccount(name) for name in ("alice", "bob", "carol")]
    if balances is None:
        balances = {account_id: {BASE: RICH, QUOTE: RICH} for account_id in (ALICE, BOB, CAROL)}
    for account_id, amounts in balances.items():
        setup += [Deposit(account_id, asset, str(amount), f"seed-{asset}") for asset, amount in amounts.items()]
    for command in [*setup, *resting]:
        accepted(engine, command)
    engine.seal()
    return engine


def instrument_command(**fields: Any) -> CreateInstrument:
    """Return the command that lists the default instrument, with other fields where given."""
    members: dict[str, Any] = {"symbol": SYMBOL, "base": BASE, "quote": QUOTE, "tick_size": "1", "lot_size": "1"}
    return CreateInstrument(**(members | fields))


def buy(account_id: int = BOB, *, quantity: int, price: int | None = None, **terms: Any) -> PlaceOrder:
    """Return a buy order: limit gtc with a price, else market ioc."""
    return _order(account_id, Side.BUY, quantity, price, terms)


def sell(account_id: int = BOB, *, quantity: int, price: int | None = None, **terms: Any) -> PlaceOrder:
    """Return a sell order: limit gtc with a price, else market ioc."""
    return _order(account_id, Side.SELL, quantity, price, terms)


def _order(account_id: int, side: Side, quantity: int, price: int | None, terms: dict[str, Any]) -> PlaceOrder:
    members: dict[str, Any] = {
        "symbol": SYMBOL,
        "type": OrderType.MARKET if price is None else OrderType.LIMIT,
        "time_in_force": IOC if price is None else GTC,
    }
    return PlaceOrder(account_id=account_id, side=side, quantity=quantity, price=price, **(members | terms))


def amend(order_id: int, account_id: int = BOB, **changes: Any) -> AmendOrder:
    """Return an amend of one order."""
    return AmendOrder(account_id, order_id, **changes)


def cancel(order_id: int, account_id: int = BOB) -> CancelOrder:
    """Return a cancel of one order by its id."""
    return CancelOrder(account_id, order_id)


def cancel_all(account_id: int = BOB, **filters: Any) -> CancelAll:
    """Return a cancel of all orders that match."""
    return CancelAll(account_id, **filters)


def update(**changes: Any) -> UpdateInstrument:
    """Return an edit of the default instrument; `status` beside its filters and fees."""
    status = changes.pop("status", None)
    return UpdateInstrument(SYMBOL, None if status is None else InstrumentStatus(status), changes)


def only(kind: type[T], events: Iterable[object]) -> T:
    """Return the one event of that kind; there must be exactly one."""
    found = all_of(kind, events)
    assert len(found) == 1, f"expected one {kind.__name__}, was {found}"
    return found[0]


def all_of(kind: type[T], events: Iterable[object]) -> list[T]:
    """Return the events of that kind, in order."""
    return [event for event in events if isinstance(event, kind)]


def accepted(engine: Engine, command: Command) -> list[Event]:
    """Apply a command that must not be refused; returns its events."""
    events = engine.apply(command)
    assert engine.outcome.rejection is None, f"{command}: {engine.outcome.rejection}"
    return events


def placed(engine: Engine, command: PlaceOrder) -> OrderState:
    """Apply an order that must not be refused; returns the order as the command left it."""
    accepted(engine, command)
    assert engine.outcome.order is not None
    return engine.outcome.order


def refused(engine: Engine, command: Command) -> Rejection:
    """Apply a command that must be refused; returns why."""
    engine.apply(command)
    assert engine.outcome.rejection is not None, f"expected a refusal of {command}"
    return engine.outcome.rejection


def reason_of(engine: Engine, command: Command) -> RejectReason:
    """Apply a command that must be refused; returns the code alone."""
    return refused(engine, command).reason


def available(engine: Engine, account_id: int, asset: str) -> int:
    """Return what an account may use of an asset, in units."""
    return engine.state.accounts[account_id].balance(asset).available


def held(engine: Engine, account_id: int, asset: str) -> int:
    """Return what an account's open orders hold of an asset, in units."""
    return engine.state.accounts[account_id].balance(asset).held


def order(engine: Engine, order_id: int) -> Order:
    """Return an order that the engine remembers."""
    return engine.state.orders[order_id]


def bids(engine: Engine) -> list[tuple[int, int]]:
    """Return the bid levels, best first."""
    return engine.state.books[SYMBOL].bids.snapshot()


def asks(engine: Engine) -> list[tuple[int, int]]:
    """Return the ask levels, best first."""
    return engine.state.books[SYMBOL].asks.snapshot()


def tick_at(engine: Engine, timestamp_ns: int) -> list[Event]:
    """Begin a batch and let time act; returns the Tick's events."""
    engine.begin(timestamp_ns)
    return accepted(engine, Tick())


def twin_of(engine: Engine) -> Engine:
    """Return the engine restored from its own checkpoint; both must give the same from there on."""
    data = engine.checkpoint()
    return Engine.restore(data, state_hash(data))


def auction_with(*orders: PlaceOrder, **instrument: Any) -> Engine:
    """Return an engine in a call auction with these orders, sealed."""
    engine = engine_with(orders, status=InstrumentStatus.AUCTION, **instrument)
    invariants.check(engine.state)
    return engine


def indicated(engine: Engine) -> tuple[int, int, int] | None:
    """Seal the batch; return price, quantity and surplus that it states of an auction."""
    books = engine.seal().books
    if not books or books[0].auction is None:
        return None
    event = books[0].auction
    return event.price, event.quantity, event.surplus


def stop(account_id: int, side: str, quantity: int, trigger_price: int | None = None, **terms: Any) -> PlaceOrder:
    """Return an order that waits for a price: a stop at a trigger price unless `type` says otherwise."""
    members: dict[str, Any] = {"type": OrderType.STOP, "time_in_force": GTC, "trigger_price": trigger_price}
    return _order(account_id, Side(side), quantity, terms.pop("price", None), members | terms)


def trade_at(engine: Engine, price: int, quantity: int = 1, *, maker: int = BOB, taker: int = CAROL) -> list[Event]:
    """Let two accounts trade at a price that nothing in the book is better than; returns the print's events."""
    accepted(engine, sell(maker, quantity=quantity, price=price))
    return accepted(engine, buy(taker, quantity=quantity, price=price))


def tick(engine: Engine) -> list[Event]:
    """Let time act."""
    return accepted(engine, Tick())


def long(quantity: int = 10) -> Engine:
    """Return an engine in which Alice bought so many lots from Bob, who has sold them short, at 100."""
    engine = engine_with()
    trade_at(engine, 100, quantity, maker=BOB, taker=ALICE)
    engine.seal()
    return engine


def closing(quantity: int, price: int = 110, **terms: Any) -> PlaceOrder:
    """Return a reduce-only sell of Alice's."""
    return sell(ALICE, quantity=quantity, price=price, reduce_only=True, **terms)


def would_increase(limit: int, actual: int) -> Rejection:
    """Return the refusal of a reduce-only order that is too large."""
    return Rejection(RejectReason.REDUCE_ONLY_WOULD_INCREASE, None, str(limit), str(actual), "lots")


def canceled(events: Iterable[object]) -> list[tuple[int, str | None]]:
    """Return the orders that a command canceled, and why."""
    return [(event.order.order_id, event.order.reason) for event in all_of(OrderCanceled, events)]
