"""What leads a control to its limit, step by step, and the refusal one beyond it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from app.domain.commands import CheckOrder, Command, PlaceOrder
from app.domain.enums import OrderType, RejectReason, TimeInForce
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import accepted, refused

SECOND_NS = 1_000_000_000


class Later(NamedTuple):
    """The next step is that many nanoseconds later, in a batch of its own."""

    pause_ns: int


class Refused(NamedTuple):
    """A command that another rule refuses, on the way."""

    command: Command


Step = Command | Later | Refused


class Case(NamedTuple):
    """One control: every step passes, the last of them at the limit; `beyond` is refused."""

    control: str
    """C1 to C19 of the list of controls."""
    title: str
    build: Callable[[], Engine]
    steps: tuple[Step, ...]
    beyond: Command
    code: RejectReason
    limit: int | None = None
    actual: int | None = None
    unit: str | None = None
    field: str | None = None

    def refusal(self) -> tuple[RejectReason, str | None, str | None, str | None, str | None]:
        """Return what the refusal must say."""
        limit, actual = (None if number is None else str(number) for number in (self.limit, self.actual))
        return self.code, self.field, limit, actual, self.unit


def walk(engine: Engine, steps: Iterable[Step], *, plain: bool = True) -> None:
    """Take the steps; each command must be accepted."""
    for step in steps:
        if isinstance(step, Later):
            engine.seal()
            engine.begin(engine.state.timestamp_ns + step.pause_ns)
        elif isinstance(step, Refused):
            refused(engine, step.command if plain else roundabout(step.command))
        else:
            accepted(engine, step if plain else roundabout(step))


def roundabout(command: Command) -> Command:
    """Return a limit order that lives for the day instead: not plain, so that the checks look at it one by one."""
    if not isinstance(command, PlaceOrder) or command.type is not OrderType.LIMIT:
        return command
    if command.time_in_force is not TimeInForce.GTC:
        return command
    return msgspec.structs.replace(command, time_in_force=TimeInForce.DAY)


def found(engine: Engine, command: Command) -> tuple[Any, ...]:
    """Apply what must be refused; returns what the refusal says. Nothing but the refusal may have happened."""
    before = traces(engine)
    rejection = refused(engine, command)
    assert traces(engine) == before
    invariants.check(engine.state)
    return rejection.reason, rejection.field, rejection.limit, rejection.actual, rejection.unit


def traces(engine: Engine) -> tuple[Any, ...]:
    """Return what an order leaves behind when it is not refused."""
    state = engine.state
    balances = {
        (account.account_id, asset): (balance.available, balance.held)
        for account in state.accounts.values()
        for asset, balance in account.balances.items()
    }
    books = {symbol: (book.bids.snapshot(), book.asks.snapshot()) for symbol, book in state.books.items()}
    return state.last_order_id, len(state.orders), balances, books


def failed_checks(engine: Engine, order: PlaceOrder) -> list[tuple[str, str | None, str | None, str | None]]:
    """Return the checks that an order would fail: code, limit, what it would come to, unit."""
    accepted(engine, CheckOrder(order))
    checks = engine.outcome.checks
    return [(each.check, each.limit, each.used, each.unit) for each in checks if not each.passed]
