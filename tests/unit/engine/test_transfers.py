"""Transfers between accounts: once per id, out of available only, stated to both sides; the house takes no part."""

import pytest

from app.domain.commands import Command, CreateAccount, Deposit, Transfer, Withdraw
from app.domain.events import BalanceChanged, FundsTransferred
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.engine import invariants
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    QUOTE,
    accepted,
    all_of,
    available,
    buy,
    engine_with,
    held,
    reason_of,
    refused,
    twin_of,
)

STRANGER = 999


def poor() -> Engine:
    """Return an engine in which Alice has 100 quote units, and the others nothing."""
    return engine_with(balances={ALICE: {QUOTE: 100}})


def send(amount: int = 30, transfer_id: str = "t1", *, sender: int = ALICE, to: int = BOB) -> Transfer:
    return Transfer(sender, to, QUOTE, str(amount), transfer_id)


def test_transfer_moves_available_money_and_touches_nothing_outside() -> None:
    engine = poor()
    outside = available(engine, EXTERNAL_ACCOUNT_ID, QUOTE)
    accepted(engine, send(30))
    assert (available(engine, ALICE, QUOTE), available(engine, BOB, QUOTE)) == (70, 30)
    assert available(engine, EXTERNAL_ACCOUNT_ID, QUOTE) == outside
    invariants.check(engine.state)


def test_transfer_is_stated_to_both_sides_with_the_other_as_counterparty() -> None:
    engine = poor()
    events = all_of(FundsTransferred, accepted(engine, send(30)))
    sequence = engine.state.sequence
    assert events == [
        FundsTransferred(sequence, ALICE, QUOTE, "-30", "t1", BOB),
        FundsTransferred(sequence, BOB, QUOTE, "30", "t1", ALICE),
    ]
    sealed = engine.seal()
    assert sealed.system == events
    balances = [event for _, found in sealed.accounts for event in all_of(BalanceChanged, found)]
    assert [(event.account_id, event.available, event.held) for event in balances] == [
        (ALICE, "70", "0"),
        (BOB, "30", "0"),
    ]


def test_repeated_transfer_changes_nothing_for_ever() -> None:
    engine = poor()
    accepted(engine, send())
    engine.seal()
    for each in (engine, twin_of(engine)):
        for _ in range(2):
            assert accepted(each, send()) == []
            assert each.outcome.duplicate
        assert (available(each, ALICE, QUOTE), available(each, BOB, QUOTE)) == (70, 30)


@pytest.mark.parametrize(
    "other",
    [
        send(31),
        send(to=CAROL),
        Transfer(ALICE, BOB, BASE, "30", "t1"),
        Withdraw(ALICE, QUOTE, "30", "t1"),
        Deposit(ALICE, QUOTE, "30", "t1"),
    ],
    ids=["amount", "receiver", "asset", "withdrawal", "deposit"],
)
def test_id_of_a_transfer_with_another_body_is_refused(other: Command) -> None:
    engine = poor()
    accepted(engine, send())
    rejection = refused(engine, other)
    assert (rejection.reason, rejection.field) == ("transfer_id_reused", "transfer_id")


def test_withdrawal_by_an_id_does_not_stand_for_a_transfer() -> None:
    engine = poor()
    accepted(engine, Withdraw(ALICE, QUOTE, "30", "t1"))
    assert reason_of(engine, send(30)) == "transfer_id_reused"


def test_ids_are_the_senders() -> None:
    engine = poor()
    accepted(engine, send(30))
    accepted(engine, send(10, sender=BOB, to=ALICE))
    accepted(engine, Deposit(BOB, QUOTE, "30", "t2"))
    assert not engine.outcome.duplicate
    assert (available(engine, ALICE, QUOTE), available(engine, BOB, QUOTE)) == (80, 50)


@pytest.mark.parametrize("account_id", [STRANGER, EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID])
def test_only_clients_send_and_receive(account_id: int) -> None:
    engine = poor()
    for command in (send(to=account_id), send(sender=account_id)):
        rejection = refused(engine, command)
        assert (rejection.reason, rejection.field) == ("not_found", None)


def test_account_cannot_send_to_itself() -> None:
    rejection = refused(poor(), send(to=ALICE))
    assert (rejection.reason, rejection.field) == ("invalid_request", "to_account_id")


def test_unknown_asset_is_refused() -> None:
    rejection = refused(poor(), Transfer(ALICE, BOB, "NOPE", "1", "t1"))
    assert (rejection.reason, rejection.field) == ("invalid_request", "asset")


@pytest.mark.parametrize("amount", [0, -1, 10**30 + 1])
def test_amount_is_1_to_10_to_the_30(amount: int) -> None:
    rejection = refused(poor(), send(amount))
    assert (rejection.reason, rejection.field, rejection.limit, rejection.actual, rejection.unit) == (
        "amount_out_of_range", "amount", str(10**30), str(amount), QUOTE,
    )  # fmt: skip


def test_receiver_may_have_10_to_the_30_and_no_more_its_holds_included() -> None:
    engine = engine_with(
        balances={ALICE: {QUOTE: 2}, BOB: {QUOTE: 10**30 - 1}}, resting=[buy(BOB, quantity=6, price=10)]
    )
    accepted(engine, send(1))
    assert available(engine, BOB, QUOTE) + held(engine, BOB, QUOTE) == 10**30
    assert reason_of(engine, send(1, "t2")) == "amount_out_of_range"


def test_only_what_is_available_can_be_sent_and_a_refusal_uses_up_no_id() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}}, resting=[buy(ALICE, quantity=6, price=10)])
    rejection = refused(engine, send(41))
    assert (rejection.reason, rejection.field, rejection.limit, rejection.actual, rejection.unit) == (
        "insufficient_balance", "amount", "40", "41", QUOTE,
    )  # fmt: skip
    accepted(engine, send(40))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (0, 60)


def test_new_account_receives_and_sends_on() -> None:
    engine = poor()
    accepted(engine, CreateAccount("dora"))
    dora = engine.outcome.account_id
    assert dora is not None
    accepted(engine, send(100, to=dora))
    accepted(engine, send(100, sender=dora, to=CAROL))
    assert [available(engine, account_id, QUOTE) for account_id in (ALICE, dora, CAROL)] == [0, 0, 100]
    invariants.check(engine.state)
