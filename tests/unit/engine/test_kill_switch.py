"""Kill switches: what they refuse at once, what Ticks then clear, and what still passes."""

import pytest

from app.domain.commands import SetKillSwitch, Tick, UpdateAccount
from app.domain.enums import AccountStatus, KillSwitchScope
from app.domain.events import AccountUpdated, KillSwitchSet, OrderCanceled
from app.engine import invariants, mass_cancel
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BOB,
    SYMBOL,
    accepted,
    all_of,
    amend,
    buy,
    cancel,
    engine_with,
    instrument_command,
    only,
    reason_of,
    refused,
    sell,
    twin_of,
)

EXCHANGE, INSTRUMENT, ACCOUNT = KillSwitchScope
OTHER = "BTC-OTHER"


def two_markets() -> Engine:
    """Return an engine with an order of Bob's in each of two instruments, and one of Alice's in the first."""
    engine = engine_with([buy(quantity=5, price=10), buy(ALICE, quantity=5, price=10)])
    accepted(engine, instrument_command(symbol=OTHER))
    accepted(engine, buy(quantity=5, price=10, symbol=OTHER))
    return engine


@pytest.mark.parametrize(
    ("scope", "target", "canceled", "killed"),
    [
        (EXCHANGE, None, [1, 2, 3], {(BOB, SYMBOL), (ALICE, SYMBOL), (BOB, OTHER)}),
        (INSTRUMENT, SYMBOL, [1, 2], {(BOB, SYMBOL), (ALICE, SYMBOL)}),
        (ACCOUNT, str(BOB), [1, 3], {(BOB, SYMBOL), (BOB, OTHER)}),
    ],
)
def test_switch_refuses_orders_of_its_scope_at_once_and_ticks_clear_it(
    scope: KillSwitchScope, target: str | None, canceled: list[int], killed: set[tuple[int, str]]
) -> None:
    engine = two_markets()
    events = accepted(engine, SetKillSwitch(scope, target, on=True, note="drill"))
    assert only(KillSwitchSet, events).note == "drill"
    assert all_of(OrderCanceled, events) == []
    for account_id, symbol in ((BOB, SYMBOL), (ALICE, SYMBOL), (BOB, OTHER)):
        order = sell(account_id, quantity=1, price=30, symbol=symbol)
        if (account_id, symbol) in killed:
            rejection = refused(engine, order)
            assert (rejection.reason, rejection.field) == ("kill_switch", scope)
        else:
            accepted(engine, order)
    assert engine.next_deadline == 0
    ended = [event.order for event in all_of(OrderCanceled, accepted(engine, Tick()))]
    assert [state.order_id for state in ended] == canceled
    assert {state.reason for state in ended} == {"kill_switch"}
    assert engine.next_deadline is None
    invariants.check(engine.state)


def test_widest_switch_that_is_on_is_named() -> None:
    engine = two_markets()
    accepted(engine, SetKillSwitch(ACCOUNT, str(BOB), on=True))
    accepted(engine, SetKillSwitch(INSTRUMENT, SYMBOL, on=True))
    assert refused(engine, buy(quantity=1, price=9)).field == "instrument"
    accepted(engine, SetKillSwitch(EXCHANGE, None, on=True))
    assert refused(engine, buy(quantity=1, price=9)).field == "exchange"
    accepted(engine, SetKillSwitch(EXCHANGE, None, on=False))
    accepted(engine, SetKillSwitch(INSTRUMENT, SYMBOL, on=False))
    assert refused(engine, buy(quantity=1, price=9)).field == "account"
    accepted(engine, SetKillSwitch(ACCOUNT, str(BOB), on=False))
    accepted(engine, buy(quantity=1, price=9))


def test_while_killed_orders_may_shrink_and_be_canceled_but_not_move() -> None:
    engine = two_markets()
    accepted(engine, SetKillSwitch(INSTRUMENT, SYMBOL, on=True))
    assert reason_of(engine, amend(1, price=11)) == "kill_switch"
    assert reason_of(engine, amend(1, quantity=6)) == "kill_switch"
    accepted(engine, amend(1, quantity=4))
    accepted(engine, cancel(1))


def test_kill_switch_comes_before_every_other_check_but_idempotency() -> None:
    engine = engine_with()
    known = buy(quantity=1, price=10, client_order_id="a")
    accepted(engine, known)
    accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN))
    accepted(engine, SetKillSwitch(EXCHANGE, None, on=True))
    accepted(engine, known)
    assert engine.outcome.duplicate
    assert reason_of(engine, buy(quantity=1, price=10)) == "kill_switch"


def test_setting_what_is_set_answers_duplicate_and_states_nothing() -> None:
    engine = two_markets()
    for on in (False, True):
        command = SetKillSwitch(EXCHANGE, None, on=on)
        if on:
            accepted(engine, command)
        assert accepted(engine, command) == []
        assert engine.outcome.duplicate


def test_switch_of_an_account_is_stated_with_the_account_and_stays_in_what_is_stated_of_it() -> None:
    engine = engine_with()
    kinds = [type(event) for event in accepted(engine, SetKillSwitch(ACCOUNT, str(BOB), on=True))]
    assert kinds == [KillSwitchSet, AccountUpdated]
    assert only(AccountUpdated, accepted(engine, UpdateAccount(BOB, AccountStatus.FROZEN))).killed
    assert not only(AccountUpdated, accepted(engine, SetKillSwitch(ACCOUNT, str(BOB), on=False))).killed


def test_switching_off_calls_off_what_was_not_canceled_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mass_cancel, "SLICE_ORDERS_MAX", 2)
    engine = engine_with([buy(quantity=1, price=10) for _ in range(5)])
    accepted(engine, SetKillSwitch(EXCHANGE, None, on=True))
    assert len(all_of(OrderCanceled, accepted(engine, Tick()))) == 2
    accepted(engine, SetKillSwitch(EXCHANGE, None, on=False))
    assert engine.next_deadline is None
    assert accepted(engine, Tick()) == []
    accepted(engine, SetKillSwitch(EXCHANGE, None, on=True))
    accepted(engine, Tick())
    assert len(all_of(OrderCanceled, accepted(engine, Tick()))) == 1


@pytest.mark.parametrize(
    ("scope", "target", "reason", "field"),
    [
        (EXCHANGE, "BTC-USD", "invalid_request", "target"),
        (INSTRUMENT, None, "invalid_request", "target"),
        (INSTRUMENT, "NOPE", "not_found", None),
        (ACCOUNT, None, "invalid_request", "target"),
        (ACCOUNT, "bob", "invalid_request", "target"),
        (ACCOUNT, "-1", "invalid_request", "target"),
        (ACCOUNT, "\u0661", "invalid_request", "target"),
        (ACCOUNT, "999999", "not_found", None),
        (ACCOUNT, "2", "not_found", None),
        (ACCOUNT, "1" * 5_000, "not_found", None),
    ],
)
def test_target_must_fit_the_scope(scope: KillSwitchScope, target: str | None, reason: str, field: str | None) -> None:
    rejection = refused(engine_with(), SetKillSwitch(scope, target, on=True))
    assert (rejection.reason, rejection.field) == (reason, field)


def test_restored_engine_keeps_switches_and_what_they_still_have_to_cancel() -> None:
    engine = two_markets()
    for scope, target in ((INSTRUMENT, SYMBOL), (ACCOUNT, str(BOB))):
        accepted(engine, SetKillSwitch(scope, target, on=True))
    engine.seal()
    twin = twin_of(engine)
    for each in (engine, twin):
        assert reason_of(each, buy(ALICE, quantity=1, price=9)) == "kill_switch"
        assert reason_of(each, buy(quantity=1, price=9, symbol=OTHER)) == "kill_switch"
        assert len(all_of(OrderCanceled, accepted(each, Tick()))) == 2
        assert len(all_of(OrderCanceled, accepted(each, Tick()))) == 1
        accepted(each, SetKillSwitch(ACCOUNT, str(BOB), on=False))
        each.seal()
    assert twin.state_hash() == engine.state_hash()
