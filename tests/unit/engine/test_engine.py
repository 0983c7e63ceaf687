"""The state machine as its callers see it: time, sequences, outcomes, and what a sealed batch holds."""

from typing import get_args

import pytest

from app.domain.commands import BaseCommand, Command, StartEpoch
from app.domain.events import BalanceChanged, OrderAccepted, OrderEvent
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    NOON_NS,
    PERCENT,
    SYMBOL,
    accepted,
    all_of,
    amend,
    buy,
    cancel,
    engine_with,
    instrument_command,
    only,
    order,
    placed,
    reason_of,
    sell,
)

# ---- commands ----------------------------------------------------------------------------------


def test_every_command_has_its_handler_and_nothing_else_has_one() -> None:
    commands = set(get_args(Command))
    assert set(engine_with()._handlers) == commands
    assert set(BaseCommand.__subclasses__()) == commands


# ---- time and sequence -------------------------------------------------------------------------


def test_every_command_takes_a_sequence_whatever_comes_of_it() -> None:
    engine = engine_with()
    start = engine.state.sequence
    accepted(engine, buy(quantity=1, price=1))
    assert engine.outcome.engine_seq == start + 1
    reason_of(engine, cancel(99))
    assert engine.outcome.engine_seq == start + 2


def test_time_is_given_per_batch_and_never_goes_back() -> None:
    engine = engine_with()
    for given, used in ((NOON_NS + 5, NOON_NS + 5), (NOON_NS + 3, NOON_NS + 5), (NOON_NS + 9, NOON_NS + 9)):
        engine.begin(given)
        accepted(engine, buy(quantity=1, price=1))
        assert engine.outcome.timestamp_ns == used
        engine.seal()


def test_order_remembers_when_it_was_created_and_last_changed_and_by_which_command() -> None:
    engine = engine_with(resting=[buy(quantity=5, price=1)])
    engine.begin(NOON_NS + 7)
    accepted(engine, amend(1, quantity=4))
    state = engine.outcome.order
    assert state is not None
    assert (state.created_ns, state.updated_ns, state.engine_seq) == (NOON_NS, NOON_NS + 7, engine.state.sequence)


# ---- outcome -----------------------------------------------------------------------------------


def test_outcome_shows_the_takers_fills_and_the_book_right_after_the_command() -> None:
    engine = engine_with(resting=[sell(quantity=2, price=100), sell(quantity=5, price=101)])
    accepted(engine, buy(ALICE, quantity=3, price=101))
    accepted(engine, buy(BOB, quantity=7, price=90))
    engine.apply(cancel(2))
    engine.seal()
    outcome = engine.outcome
    assert outcome.book is not None
    assert (outcome.book.bid, outcome.book.bid_quantity, outcome.book.ask) == (90, 7, 0)


def test_book_of_an_outcome_is_the_one_right_after_its_command_with_the_sequence_of_its_batch() -> None:
    engine = engine_with(resting=[sell(quantity=2, price=100)])
    accepted(engine, buy(ALICE, quantity=1, price=99))
    first = engine.outcome
    accepted(engine, buy(ALICE, quantity=2, price=98))
    second = engine.outcome
    engine.seal()
    assert first.book is not None
    assert second.book is not None
    assert (first.book.bid, first.book.bid_quantity, first.book.ask_quantity, first.book.seq) == (99, 1, 2, 2)
    assert (second.book.bid, second.book.seq) == (99, 2)


def test_maker_fills_are_not_in_the_takers_outcome() -> None:
    engine = engine_with(resting=[sell(quantity=2, price=100)])
    accepted(engine, buy(ALICE, quantity=2, price=100))
    assert [(fill.price, fill.quantity, fill.liquidity) for fill in engine.outcome.fills] == [(100, 2, "taker")]


def test_outcome_of_a_refusal_has_the_refusal_alone() -> None:
    engine = engine_with()
    reason_of(engine, cancel(99))
    outcome = engine.outcome
    assert (outcome.order, outcome.book, outcome.fills, outcome.orders) == (None, None, (), ())


# ---- seal --------------------------------------------------------------------------------------


def test_batch_gives_at_most_one_delta_per_book() -> None:
    engine = engine_with()
    accepted(engine, instrument_command(symbol="ETH-USD"))
    for price in (10, 11, 12):
        accepted(engine, buy(quantity=1, price=price))
        accepted(engine, buy(quantity=1, price=price, symbol="ETH-USD"))
    books = engine.seal().books
    assert sorted(book.symbol for book in books) == [SYMBOL, "ETH-USD"]
    assert all(book.delta is not None and book.delta.seq == 1 for book in books)


def test_net_zero_batch_burns_no_sequence_and_breaks_no_chain() -> None:
    engine = engine_with()
    accepted(engine, buy(quantity=1, price=10))
    assert placed(engine, buy(quantity=1, price=11)).order_id == 2
    accepted(engine, cancel(2))
    accepted(engine, cancel(1))
    assert engine.seal().books == []
    accepted(engine, buy(quantity=1, price=10))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.prev_seq, delta.seq) == (0, 1)


def test_trade_whose_levels_end_unchanged_is_published_without_a_delta() -> None:
    engine = engine_with(resting=[sell(quantity=1, price=100)])
    accepted(engine, buy(ALICE, quantity=1, price=100))
    accepted(engine, sell(quantity=1, price=100))
    book = engine.seal().books[0]
    assert (book.delta, len(book.trades)) == (None, 1)


def test_passing_crossings_inside_a_batch_are_never_published() -> None:
    engine = engine_with(resting=[sell(quantity=5, price=100)])
    accepted(engine, buy(ALICE, quantity=7, price=100))
    accepted(engine, sell(quantity=4, price=100))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.bids, delta.asks) == ([], [(100, 2)])


def test_delta_carries_the_batchs_last_sequence_and_the_epoch() -> None:
    engine = engine_with()
    accepted(engine, StartEpoch(4))
    accepted(engine, buy(quantity=1, price=1))
    reason_of(engine, cancel(99))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.engine_seq, delta.epoch) == (engine.state.sequence, 4)


def test_events_are_grouped_by_account_with_gapless_account_sequences() -> None:
    engine = engine_with(resting=[sell(quantity=5, price=100)])
    before = {account_id: engine.state.accounts[account_id].seq for account_id in (ALICE, BOB)}
    accepted(engine, buy(ALICE, quantity=2, price=100))
    reason_of(engine, cancel(1, ALICE))
    accepted(engine, cancel(1))
    groups = dict(engine.seal().accounts)
    for account_id in (ALICE, BOB):
        sequences = [event.account_seq for event in groups[account_id]]
        assert sequences == list(range(before[account_id] + 1, before[account_id] + 1 + len(sequences)))
        assert all(event.account_id == account_id for event in groups[account_id])


def test_second_seal_in_a_row_holds_nothing() -> None:
    engine = engine_with(resting=[sell(quantity=5, price=100)])
    accepted(engine, buy(ALICE, quantity=2, price=100))
    engine.seal()
    assert engine.seal() == ([], [], [])


def test_events_of_a_command_do_not_change_when_the_batch_is_sealed() -> None:
    engine = engine_with(resting=[sell(quantity=5, price=100)], taker_fee=PERCENT)
    events = accepted(engine, buy(ALICE, quantity=2, price=100))
    before = list(events)
    sealed = dict(engine.seal().accounts)
    assert events == before
    assert any(isinstance(event, BalanceChanged) for group in sealed.values() for event in group)


def test_every_event_of_an_order_is_its_next_version() -> None:
    engine = engine_with(resting=[sell(quantity=5, price=100)])
    events = accepted(engine, buy(ALICE, quantity=2, price=99))
    events += accepted(engine, amend(2, ALICE, price=100))
    assert [event.order.version for event in all_of(OrderEvent, events) if event.order.order_id == 2] == [1, 2, 3]
    assert only(OrderAccepted, events).order.version == 1
    assert order(engine, 2).state.version == 3


def test_checkpoint_inside_a_batch_is_refused() -> None:
    engine = engine_with()
    accepted(engine, buy(quantity=1, price=1))
    with pytest.raises(AssertionError, match="expected a sealed batch"):
        engine.checkpoint()
    engine.seal()
    assert engine.checkpoint()


def test_new_engine_knows_nobody_but_the_house() -> None:
    engine = Engine()
    assert [account.name for account in engine.state.accounts.values()] == ["external", "fees"]
    assert engine.seal() == ([], [], [])
