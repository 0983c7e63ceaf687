"""Events are stated once for the command and once for their reader, and a refusal spells its numbers as text."""

from app.domain.enums import OrderReason, RejectReason, SelfTradePrevention
from app.domain.events import AssetCreated, BalanceChanged, OrderCanceled, OrderFilled, Rejection
from app.engine.recorder import Recorder, refuse
from app.engine.state import State
from tests.unit.engine.builders import ALICE, BOB, QUOTE, accepted, amend, buy, engine_with, only, order, placed, sell


def balance_event(account_seq: int) -> BalanceChanged:
    return BalanceChanged(account_seq, 1, ALICE, QUOTE, "1", "0")


def test_private_event_is_the_commands_and_its_accounts() -> None:
    state = State()
    recorder = Recorder(state)
    account = state.accounts[1]
    recorder.private(account, balance_event(1))
    recorder.events = []
    recorder.private(account, balance_event(2))
    assert recorder.events == [balance_event(2)]
    assert account.pending == [balance_event(1), balance_event(2)]
    assert list(recorder.accounts) == [1]


def test_system_event_is_the_commands_and_the_shards() -> None:
    state = State()
    recorder = Recorder(state)
    event = AssetCreated(1, "BTC", 8)
    recorder.system(event)
    assert (recorder.events, state.system, recorder.accounts) == ([event], [event], {})


def test_outcome_shows_the_order_as_the_commands_last_event_of_it_does() -> None:
    engine = engine_with(resting=[sell(ALICE, quantity=2, price=100), sell(ALICE, quantity=2, price=101)])
    events = accepted(engine, buy(BOB, quantity=4, price=101))
    filled = [event.order for event in events if isinstance(event, OrderFilled) and event.account_id == BOB]
    assert [engine.outcome.order] == filled == [order(engine, filled[0].order_id).state]


def test_outcome_shows_the_incoming_order_when_the_last_event_is_of_another_one() -> None:
    engine = engine_with(resting=[sell(BOB, quantity=2, price=100)])
    events = accepted(engine, buy(BOB, quantity=3, price=100, stp=SelfTradePrevention.CANCEL_OLDEST))
    assert only(OrderCanceled, events).order.reason is OrderReason.SELF_TRADE
    shown = engine.outcome.order
    assert shown is not None
    assert shown == order(engine, shown.order_id).state
    assert (shown.terms.quantity, shown.reason) == (3, None)


def test_outcome_of_a_command_without_events_shows_the_order_and_not_the_command_before() -> None:
    engine = engine_with(resting=[buy(ALICE, quantity=1, price=50)])
    first = placed(engine, buy(BOB, quantity=2, price=60))
    placed(engine, buy(BOB, quantity=3, price=61))
    accepted(engine, amend(first.order_id, price=60, quantity=2))
    assert engine.outcome.order == first


def test_refusal_spells_its_numbers_as_text_and_keeps_zero() -> None:
    assert refuse(RejectReason.PRICE_BAND, field="price", limit=2**70, actual=0, unit="ticks") == Rejection(
        RejectReason.PRICE_BAND, "price", str(2**70), "0", "ticks"
    )
    assert refuse(RejectReason.NOT_FOUND) == Rejection(RejectReason.NOT_FOUND, None, None, None, None)
