"""Events are stated once for the command and once for their reader, and a refusal spells its numbers as text."""

from app.domain.enums import RejectReason
from app.domain.events import AssetCreated, BalanceChanged, Rejection
from app.engine.recorder import Recorder, refuse
from app.engine.state import State
from tests.unit.engine.builders import ALICE, QUOTE


def balance_event(account_seq: int) -> BalanceChanged:
    return BalanceChanged(account_seq, 1, ALICE, QUOTE, "1", "0")


def test_private_event_is_the_commands_and_its_accounts() -> None:
    state = State()
    recorder = Recorder(state)
    account = state.accounts[1]
    recorder.private(account, balance_event(1))
    recorder.start()
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


def test_refusal_spells_its_numbers_as_text_and_keeps_zero() -> None:
    assert refuse(RejectReason.PRICE_BAND, field="price", limit=2**70, actual=0, unit="ticks") == Rejection(
        RejectReason.PRICE_BAND, "price", str(2**70), "0", "ticks"
    )
    assert refuse(RejectReason.NOT_FOUND) == Rejection(RejectReason.NOT_FOUND, None, None, None, None)
