"""Runs the engine and the reference model side by side and stops at the first thing they do not agree on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import NamedTuple
from unittest.mock import patch

import msgspec

from app.domain.commands import AmendOrder, CancelAll, CancelOrder, Command, Tick
from app.domain.events import Event
from app.domain.outcomes import Outcome
from app.engine import auctions, invariants, mass_cancel, matching, sessions, timekeeper
from app.engine.engine import Engine, Sealed
from tests.property.groups import GROUPS
from tests.property.profiles import MILLISECOND_NS, Profile
from tests.property.rare_states import RareStates
from tests.property.reference_ledger import RefSealed
from tests.property.reference_model import ReferenceModel
from tests.property.streams import Stream

NOON_NS = 1_700_000_000_000_000_000
UNKNOWN_ORDER = 10**12
GUARDS_MAX = 2
"""Guarded sessions of an account: fewer than the streams have names for."""


class Step(NamedTuple):
    """One command of a recorded stream."""

    command: Command
    made: "Made"
    """What the command's orders were called in the first run, so that later commands can be pointed at them again."""
    pause_ns: int | None
    """Of a command that opens a batch: how long after the one before."""


class Made(NamedTuple):
    """What an outcome names: its orders by their place in it (None is a refused one), and a list."""

    orders: tuple[int | None, ...] = ()
    order_list: int | None = None


class Disagreement(Exception):
    """Engine and model differ."""

    def __init__(self, what: str, engine: object, model: object) -> None:
        super().__init__(f"{what}\n  engine: {engine}\n  model:  {model}")


class Duel:
    """One engine against one model."""

    def __init__(self, profile: Profile) -> None:
        self.engine = Engine()
        self.model = ReferenceModel(operations_max=profile.operations_max, closed_orders_max=profile.closed_orders_max)
        self.model.slice_max, self.model.guards_max = profile.slice_max, GUARDS_MAX
        self.model.uncross_operations_max = profile.operations_max
        self.now_ns = NOON_NS
        self._outcomes: list[tuple[Outcome, Outcome]] = []

    def begin(self, pause_ns: int) -> list[Event] | None:
        """Open a batch on both sides; returns the events of the Tick at its head, if one is due."""
        self.now_ns += pause_ns
        self.engine.begin(self.now_ns)
        self.model.begin(self.now_ns)
        if "ticks" not in GROUPS:
            return None
        deadline: int | None = self.engine.next_deadline
        return self.apply(Tick()) if deadline is not None and deadline <= self.now_ns else None

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
            compare(f"best bid and ask of {symbol}", ours, self.model.public_best(symbol))
        self._check_invariants()
        return events

    def seal(self) -> RefSealed:
        """Seal both; returns the batch. Raises Disagreement."""
        sealed, expected = regrouped(self.engine.seal()), self.model.seal()
        compare("sealed accounts", sealed.accounts, expected.accounts)
        compare("sealed books", sealed.books, expected.books)
        compare("sealed auctions", sealed.auctions, dict(expected.auctions))
        compare("sealed system events", sealed.system, expected.system)
        for ours, theirs in self._outcomes:
            compare("outcome after seal", ours, theirs)
        self._outcomes.clear()
        if "ticks" in GROUPS:
            compare("next deadline", self.engine.next_deadline, self.model.next_deadline)
        self._check_invariants()
        return sealed

    def _check_invariants(self) -> None:
        try:
            invariants.check(self.engine.state)
        except AssertionError as error:
            raise Disagreement("an invariant is broken", error, "sound") from error


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
    books = {book.symbol: (book.delta, book.trades) for book in sealed.books if book.delta or book.trades}
    auctions = {book.symbol: book.auction for book in sealed.books if book.auction is not None}
    return RefSealed(dict(sealed.accounts), books, sealed.system, auctions)


@contextmanager
def bounds_of(profile: Profile) -> Iterator[None]:
    """Lower the engine's bounds to the profile's, so that they are reached."""
    with (
        patch.object(matching, "COMMAND_ORDER_OPERATIONS_MAX", profile.operations_max),
        patch.object(matching, "CLOSED_ORDERS_MAX", profile.closed_orders_max),
        patch.object(mass_cancel, "COMMAND_ORDER_OPERATIONS_MAX", profile.operations_max),
        patch.object(mass_cancel, "SLICE_ORDERS_MAX", profile.slice_max),
        patch.object(auctions, "UNCROSS_OPERATIONS_MAX", profile.operations_max),
        patch.object(sessions, "ACCOUNT_GUARDS_MAX", GUARDS_MAX),
        patch.object(timekeeper, "TICK_OPERATIONS_MAX", profile.operations_max),
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
                pause: int | None = stream.pause_ns()
                assert pause is not None
                stream.now_ns = duel.now_ns + pause
                ticked = duel.begin(pause)
                if ticked is not None:
                    stream.observe(ticked)
                    rare.observe(Tick(), ticked, duel.model)
                for _ in range(stream.batch_size()):
                    command = pending.pop(0) if pending else stream.next()
                    steps.append(Step(command, Made(), pause))
                    events = duel.apply(command)
                    steps[-1] = Step(command, made_by(duel.engine.outcome), pause)
                    pause = None
                    stream.observe(events)
                    rare.observe(command, events, duel.model)
                sealed = duel.seal()
                stream.observe(sealed.sums())
                rare.observe_batch(sealed)
        except Disagreement as disagreement:
            return Run(seed, stream.profile, steps, rare, disagreement)
    return Run(seed, stream.profile, steps, rare, None)


def replay(profile: Profile, steps: Sequence[Step]) -> Disagreement | None:
    """Duel over recorded steps, of which some may be left out: orders are found by what they were called then."""
    duel = Duel(profile)
    names: dict[int | None, int | None] = {}
    lists: dict[int | None, int | None] = {}
    with bounds_of(profile):
        try:
            for number, step in enumerate(steps):
                if step.pause_ns is not None or number == 0:
                    if number:
                        duel.seal()
                    duel.begin(step.pause_ns or MILLISECOND_NS)
                duel.apply(renamed(step.command, names, lists))
                made = made_by(duel.model.outcome)
                for then, now in zip(step.made.orders, made.orders, strict=False):
                    names.setdefault(then, now)
                lists.setdefault(step.made.order_list, made.order_list)
            duel.seal()
        except Disagreement as disagreement:
            return disagreement
    return None


def made_by(outcome: Outcome) -> Made:
    """Return what an outcome names."""
    single = [outcome.order] if outcome.order is not None else []
    orders = [*single, *outcome.orders, *(result.order for result in outcome.results)]
    return Made(tuple(None if order is None else order.order_id for order in orders), outcome.order_list_id)


def renamed(command: Command, names: dict[int | None, int | None], lists: dict[int | None, int | None]) -> Command:
    """Return the command pointing at the order or list that is now called otherwise."""
    if isinstance(command, CancelOrder | AmendOrder) and command.order_id is not None:
        return msgspec.structs.replace(command, order_id=names.get(command.order_id) or UNKNOWN_ORDER)
    if isinstance(command, CancelAll) and command.order_list_id is not None:
        return msgspec.structs.replace(command, order_list_id=lists.get(command.order_list_id) or UNKNOWN_ORDER)
    return command
