"""Runs the engine and the reference model side by side and stops at the first thing they do not agree on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import NamedTuple
from unittest.mock import patch

import msgspec

from app.domain.commands import AmendOrder, CancelOrder, Command
from app.domain.enums import Side
from app.domain.events import Event
from app.domain.outcomes import Outcome
from app.engine import invariants, matching
from app.engine.engine import Engine, Sealed
from tests.property.rare_states import RareStates
from tests.property.reference_ledger import RefSealed
from tests.property.reference_model import ReferenceModel
from tests.property.streams import Profile, Stream

NOON_NS = 1_700_000_000_000_000_000
BATCH_NS = 1_000_000
UNKNOWN_ORDER = 10**12


class Step(NamedTuple):
    """One command of a recorded stream."""

    command: Command
    order_id: int | None
    """What the command's order was called in the first run, so that later commands can be pointed at it again."""
    opens_batch: bool


class Disagreement(Exception):
    """Engine and model differ."""

    def __init__(self, what: str, engine: object, model: object) -> None:
        super().__init__(f"{what}\n  engine: {engine}\n  model:  {model}")


class Duel:
    """One engine against one model."""

    def __init__(self, profile: Profile) -> None:
        self.engine = Engine()
        self.model = ReferenceModel(operations_max=profile.operations_max, closed_orders_max=profile.closed_orders_max)
        self._outcomes: list[tuple[Outcome, Outcome]] = []
        self._batches = 0

    def begin(self) -> None:
        """Open a batch on both sides."""
        self._batches += 1
        timestamp_ns = NOON_NS + self._batches * BATCH_NS
        self.engine.begin(timestamp_ns)
        self.model.begin(timestamp_ns)

    def apply(self, command: Command) -> list[Event]:
        """Apply a command to both; returns its events. Raises Disagreement."""
        try:
            events = self.engine.apply(command)
        except Exception as error:
            raise Disagreement("the engine broke", repr(error), "no error") from error
        expected = self.model.apply(command)
        for ours, theirs in zip_longest(events, expected):
            compare("event", ours, theirs)
        compare("outcome", self.engine.outcome, self.model.outcome)
        self._outcomes.append((self.engine.outcome, self.model.outcome))
        compare("balances", balances(self.engine), self.model.balances())
        for symbol, book in self.engine.state.books.items():
            top = book.top(0)
            ours = top.bid, top.bid_quantity, top.ask, top.ask_quantity
            theirs = *self.model.best(symbol, Side.BUY), *self.model.best(symbol, Side.SELL)
            compare(f"best bid and ask of {symbol}", ours, theirs)
        return events

    def seal(self) -> RefSealed:
        """Seal both; returns the batch. Raises Disagreement."""
        sealed, expected = regrouped(self.engine.seal()), self.model.seal()
        compare("sealed accounts", sealed.accounts, expected.accounts)
        compare("sealed books", sealed.books, expected.books)
        compare("sealed system events", sealed.system, expected.system)
        for ours, theirs in self._outcomes:
            compare("outcome after seal", ours, theirs)
        self._outcomes.clear()
        try:
            invariants.check(self.engine.state)
        except AssertionError as error:
            raise Disagreement("an invariant is broken", error, "sound") from error
        return sealed


def compare(what: str, ours: object, theirs: object) -> None:
    """Raise Disagreement unless both sides say the same."""
    if ours != theirs:
        raise Disagreement(what, ours, theirs)


def balances(engine: Engine) -> dict[tuple[int, str], tuple[int, int]]:
    """Return available and held of every balance that is not zero."""
    return {
        (account.account_id, asset): (balance.available, balance.held)
        for account in engine.state.accounts.values()
        for asset, balance in account.balances.items()
        if balance.available or balance.held
    }


def regrouped(sealed: Sealed) -> RefSealed:
    """Return the engine's batch keyed as the model's: the order of accounts and books carries no meaning."""
    books = {book.symbol: (book.delta, book.trades) for book in sealed.books}
    return RefSealed(dict(sealed.accounts), books, sealed.system)


@contextmanager
def bounds_of(profile: Profile) -> Iterator[None]:
    """Lower the engine's bounds to the profile's, so that they are reached."""
    with (
        patch.object(matching, "COMMAND_ORDER_OPERATIONS_MAX", profile.operations_max),
        patch.object(matching, "CLOSED_ORDERS_MAX", profile.closed_orders_max),
    ):
        yield


class Run(NamedTuple):
    """What came of one seed."""

    seed: int
    profile: Profile
    steps: list[Step]
    rare: RareStates
    disagreement: Disagreement | None


def run_seed(seed: int, commands: int) -> Run:
    """Make a stream of so many commands and duel over it."""
    stream = Stream(seed)
    duel, rare = Duel(stream.profile), RareStates()
    steps: list[Step] = []
    pending = stream.setup()
    with bounds_of(stream.profile):
        try:
            while len(steps) < commands:
                duel.begin()
                for place in range(stream.batch_size()):
                    command = pending.pop(0) if pending else stream.next()
                    steps.append(Step(command, None, place == 0))
                    events = duel.apply(command)
                    order = duel.engine.outcome.order
                    steps[-1] = Step(command, None if order is None else order.order_id, place == 0)
                    stream.observe(events)
                    rare.observe(command, events, duel.model)
                rare.observe_batch(duel.seal())
        except Disagreement as disagreement:
            return Run(seed, stream.profile, steps, rare, disagreement)
    return Run(seed, stream.profile, steps, rare, None)


def replay(profile: Profile, steps: Sequence[Step]) -> Disagreement | None:
    """Duel over recorded steps, of which some may be left out: orders are found by what they were called then."""
    duel = Duel(profile)
    names: dict[int, int] = {}
    with bounds_of(profile):
        try:
            for number, step in enumerate(steps):
                if step.opens_batch or number == 0:
                    if number:
                        duel.seal()
                    duel.begin()
                duel.apply(renamed(step.command, names))
                order = duel.model.outcome.order
                if step.order_id is not None and order is not None:
                    names.setdefault(step.order_id, order.order_id)
            duel.seal()
        except Disagreement as disagreement:
            return disagreement
    return None


def renamed(command: Command, names: dict[int, int]) -> Command:
    """Return the command pointing at the order that is now called otherwise."""
    if isinstance(command, CancelOrder | AmendOrder) and command.order_id is not None:
        return msgspec.structs.replace(command, order_id=names.get(command.order_id, UNKNOWN_ORDER))
    return command
