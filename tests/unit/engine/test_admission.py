"""The bounds of a book admit exactly the plain limit orders that pass every ordered check."""

import random
from collections.abc import Callable

import pytest

from app.domain.commands import PlaceOrder, SetLimits, UpdateAccount
from app.domain.enums import AccountStatus, InstrumentStatus, OrderType, PostOnly, Side, TimeInForce
from app.domain.limits import LIMITS
from app.engine import controls, forms, orders, risk
from app.engine.admission import admits_plainly
from app.engine.bounds import INTEGER_MAX, Bounds
from app.engine.controls import Attempt
from app.engine.engine import Engine
from app.engine.limits import likeness
from app.engine.state import DAY_NS
from tests.unit.engine.builders import ALICE, BOB, PERCENT, SYMBOL, accepted, buy, engine_with, reason_of, sell, update

STREAMS = 40
ORDERS = 400
EDGES = (1, 2, 49, 50, 51, 99, 100, 101, 149, 150, 151, 200, 2**32, 2**62, INTEGER_MAX, INTEGER_MAX + 1)
PLAIN = (TimeInForce.GTC, TimeInForce.IOC)


def random_engine(choice: random.Random) -> Engine:
    """Return an engine whose instrument has some filters, perhaps a last price, orders and limits."""
    limits: dict[str, int | None] = {
        "min_quantity": choice.choice((None, 1, 2, 50)),
        "max_quantity": choice.choice((None, 100, 2**40, INTEGER_MAX)),
        "min_notional": choice.choice((None, 1, 200)),
        "max_notional": choice.choice((None, 10_000, 2**50, INTEGER_MAX)),
    }
    engine = engine_with(lot_size=choice.choice(("1", "5")), reference_price=100)
    for command in (buy(BOB, quantity=50, price=choice.choice((90, 2**40))), sell(BOB, quantity=50, price=2**41)):
        accepted(engine, command)
    if choice.random() < 0.8:
        accepted(engine, sell(ALICE, quantity=1, price=1))
    engine.apply(update(**limits, price_band=choice.choice((None, None, 0, 50 * PERCENT))))
    if choice.random() < 0.2:
        engine.apply(update(status=choice.choice(list(InstrumentStatus))))
    if choice.random() < 0.1:
        engine.apply(UpdateAccount(ALICE, AccountStatus.FROZEN))
    engine.apply(SetLimits({"open_orders": choice.choice((None, "0", "1", "5000"))}))
    if choice.random() < 0.6:
        names = choice.sample(sorted(LIMITS.keys() - {"open_orders"}), 3)
        engine.apply(SetLimits({name: str(choice.choice((0, 1, 100, 5_000, 10**12))) for name in names}))
    if choice.random() < 0.1:
        engine.apply(UpdateAccount(ALICE, restricted=(SYMBOL,)))
    return engine


def random_terms(choice: random.Random) -> PlaceOrder:
    return PlaceOrder(
        ALICE,
        SYMBOL,
        choice.choice((Side.BUY, Side.SELL)),
        OrderType.LIMIT if choice.random() < 0.95 else choice.choice(list(OrderType)),
        choice.choice(EDGES),
        choice.choice((*EDGES, 90, 2**40, 2**41, 0, -1)),
        choice.choice(PLAIN if choice.random() < 0.9 else list(TimeInForce)),
        post_only=PostOnly.REJECT if choice.random() < 0.05 else None,
    )


def ordered_checks_pass(terms: PlaceOrder, engine: Engine) -> bool:
    """Run every check but funds; counts the message, if anything is counted."""
    assert terms.price is not None
    state = engine.state
    account, book = state.accounts[ALICE], state.books[SYMBOL]
    attempt = Attempt(account, book, terms, terms.side is Side.BUY, terms.price, terms.quantity)
    found = (
        controls.check_restricted(account, book),
        risk.check_phase(book, terms),
        risk.check_frozen(account),
        controls.check_reduce_only(account, book, terms, terms.quantity, None),
        controls.check_throttle(account),
        controls.check_rates(state, account, book),
        controls.check_ratio(state, account, book),
        controls.check_duplicate(state, account, book, terms),
        forms.check_form(terms, book, state.timestamp_ns),
        risk.check_numbers(book.instrument, terms.price, terms.quantity),
        risk.check_sums(book, terms.side, terms.price, terms.quantity),
        risk.check_band(book, terms.price),
        controls.check_open_orders(state, attempt),
        controls.check_exposure(state, attempt),
    )
    return all(rejection is None for rejection in found)


@pytest.mark.parametrize("seed", range(STREAMS))
def test_quick_admission_and_ordered_checks_agree(seed: int) -> None:
    choice = random.Random(seed)
    engine = random_engine(choice)
    account, book = engine.state.accounts[ALICE], engine.state.books[SYMBOL]
    is_free = book.instrument.status is InstrumentStatus.OPEN and not account.restricted
    for _ in range(ORDERS):
        terms = random_terms(choice)
        # Without a last trade the band follows the mid, and the ordered checks decide alone.
        follows = book.last_price is not None or book.instrument.price_band is None
        position = admits_plainly(terms, account, book, engine.state)
        quick = position is not None
        if quick:
            assert position is account.positions[SYMBOL]
            assert account.gate is not None
            if account.gate.remembers_orders:
                assert account.counts is not None
                assert account.counts.likeness == likeness(terms)
        passes = ordered_checks_pass(terms, engine)
        assert passes or not quick, f"seed {seed}: {terms} is admitted and breaks a rule"
        is_plain = terms.type is OrderType.LIMIT and terms.time_in_force in PLAIN and terms.post_only is None
        if is_plain and follows and is_free:
            assert quick == passes, f"seed {seed}: {terms} passes every check and is not admitted at once"
        if choice.random() < 0.1:
            # Some are placed, so that there is something to repeat and to have sent too much of.
            engine.begin(engine.state.timestamp_ns + choice.choice((0, 50, DAY_NS)))
            engine.apply(terms)


@pytest.mark.parametrize("seed", range(STREAMS))
def test_an_order_does_the_same_whichever_way_it_takes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = random_engine(random.Random(seed)), random_engine(random.Random(seed))
    for engine in (quick, slow):
        engine.state.accounts[ALICE].position(engine.state.books[SYMBOL])
    choice = random.Random(seed)
    for _ in range(ORDERS // 4):
        terms, timestamp_ns = random_terms(choice), quick.state.timestamp_ns + choice.choice((0, 50, DAY_NS))
        for engine in (quick, slow):
            engine.begin(timestamp_ns)
        events = quick.apply(terms)
        with monkeypatch.context() as patched:
            patched.setattr(orders, "admits_plainly", lambda *_: None)
            assert slow.apply(terms) == events
        assert slow.outcome == quick.outcome
        assert slow.seal() == quick.seal()
    for engine in (quick, slow):
        # Which of the checks is the first to let a new day begin does not matter.
        for turnover in engine.state.accounts[ALICE].turnovers.values():
            if turnover.day != engine.state.day:
                turnover.begin_day(engine.state.day)
    assert slow.checkpoint() == quick.checkpoint()


@pytest.mark.parametrize(("place", "other"), [(buy, sell), (sell, buy)])
def test_a_plain_order_sent_twice_is_a_duplicate_and_one_of_the_other_side_is_none(
    place: Callable[..., PlaceOrder], other: Callable[..., PlaceOrder]
) -> None:
    engine = engine_with()
    accepted(engine, SetLimits({"duplicate_window_ns": "1000"}))
    accepted(engine, place(ALICE, quantity=2, price=100))
    assert reason_of(engine, place(ALICE, quantity=2, price=100)) == "duplicate_order"
    for terms in (
        place(ALICE, quantity=3, price=100),
        place(ALICE, quantity=2, price=100, client_order_id="named"),
        other(ALICE, quantity=2, price=100),
    ):
        accepted(engine, terms)


def test_both_answers_come_up_often() -> None:
    counts = {True: 0, False: 0}
    for seed in range(STREAMS):
        choice = random.Random(seed)
        engine = random_engine(choice)
        for _ in range(ORDERS):
            counts[ordered_checks_pass(random_terms(choice), engine)] += 1
    assert min(counts.values()) > STREAMS * ORDERS // 50, counts


def test_band_follows_the_last_price_and_stays_within_the_integers() -> None:
    instrument = engine_with(price_band=50 * PERCENT, reference_price=100).state.books[SYMBOL].instrument
    bounds = Bounds(instrument, None)
    assert bounds.price_low > bounds.price_high
    for last, low, high in ((100, 50, 150), (1, 1, 1), (INTEGER_MAX, INTEGER_MAX - INTEGER_MAX // 2, INTEGER_MAX)):
        bounds.follow(last)
        assert (bounds.price_low, bounds.price_high) == (low, high)
        assert bounds == Bounds(instrument, last)
    bounds.follow(None)
    assert bounds.price_low > bounds.price_high
