"""Builders of order lists: Bob's, of the default instrument, and short words for what became of their orders."""

from collections.abc import Iterable

from app.domain.commands import PlaceList, PlaceOrder
from app.domain.enums import ListKind
from app.domain.events import Event, OrderEvent
from app.domain.outcomes import Outcome
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import BOB, accepted, order


def oco(*orders: PlaceOrder, account_id: int = BOB) -> PlaceList:
    """Return a list of two orders of which only one trades."""
    return PlaceList(account_id, ListKind.OCO, orders)


def oto(*orders: PlaceOrder, account_id: int = BOB) -> PlaceList:
    """Return a list whose first order activates the others."""
    return PlaceList(account_id, ListKind.OTO, orders)


def bracket(*orders: PlaceOrder, account_id: int = BOB) -> PlaceList:
    """Return an entry with its target and its stop."""
    return PlaceList(account_id, ListKind.BRACKET, orders)


def listed(engine: Engine, command: PlaceList) -> Outcome:
    """Place a list that must not be refused; returns the answer."""
    accepted(engine, command)
    invariants.check(engine.state)
    return engine.outcome


def ids_of(engine: Engine, command: PlaceList) -> list[int]:
    """Place a list that must not be refused; returns the ids of its orders."""
    return [state.order_id for state in listed(engine, command).orders]


def words(engine: Engine, ids: Iterable[int]) -> list[str]:
    """Return the status of each order, with its reason if it has one, after looking at every invariant."""
    invariants.check(engine.state)
    found = [order(engine, order_id) for order_id in ids]
    return [each.status if each.reason is None else f"{each.status}: {each.reason}" for each in found]


def steps(events: Iterable[Event]) -> list[tuple[int, str]]:
    """Return which order moved on to which status, in the order of the events."""
    return [(event.order.order_id, event.order.status) for event in events if isinstance(event, OrderEvent)]
