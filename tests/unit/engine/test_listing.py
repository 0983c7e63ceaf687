"""Assets, accounts, transfers, limits and epochs."""

import pytest

from app.domain.commands import (
    CreateAccount,
    CreateAsset,
    Deposit,
    SetLimits,
    StartEpoch,
    UpdateAccount,
    Withdraw,
)
from app.domain.enums import AccountStatus
from app.domain.events import AccountOpened, AssetCreated, FundsTransferred
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.engine import listing
from app.engine.engine import Engine
from tests.unit.engine.builders import (
    ALICE,
    BASE,
    BOB,
    QUOTE,
    accepted,
    available,
    buy,
    engine_with,
    held,
    only,
    reason_of,
    refused,
)

STRANGER = 4_711


# ---- assets ------------------------------------------------------------------------------------


def test_asset_is_created_once_and_repeating_it_changes_nothing() -> None:
    engine = Engine()
    assert only(AssetCreated, accepted(engine, CreateAsset("BTC", 8))).scale == 8
    assert accepted(engine, CreateAsset("BTC", 8)) == []
    assert engine.outcome.duplicate
    assert refused(engine, CreateAsset("BTC", 6)).field == "scale"


@pytest.mark.parametrize("scale", [-1, 19])
def test_scale_of_an_asset_is_0_to_18(scale: int) -> None:
    assert reason_of(Engine(), CreateAsset("X", scale)) == "invalid_request"


def test_number_of_assets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_with()
    monkeypatch.setattr(listing, "ASSETS_MAX", 2)
    assert reason_of(engine, CreateAsset("X", 0)) == "invalid_request"


def test_account_is_opened_once_by_name() -> None:
    engine = engine_with()
    events = accepted(engine, CreateAccount("dora"))
    assert only(AccountOpened, events).account_id == engine.outcome.account_id == 1004
    assert accepted(engine, CreateAccount("dora")) == []
    assert (engine.outcome.duplicate, engine.outcome.account_id) == (True, 1004)


@pytest.mark.parametrize("name", ["fees", "external"])
def test_names_of_the_houses_accounts_are_taken(name: str) -> None:
    assert refused(engine_with(), CreateAccount(name)).field == "name"


@pytest.mark.parametrize("account_id", [EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID, STRANGER])
def test_house_and_unknown_accounts_are_neither_edited_nor_funded(account_id: int) -> None:
    engine = engine_with()
    assert reason_of(engine, UpdateAccount(account_id, AccountStatus.FROZEN)) == "not_found"
    assert reason_of(engine, Deposit(account_id, QUOTE, "1", "t")) == "not_found"
    assert reason_of(engine, Withdraw(account_id, QUOTE, "1", "t")) == "not_found"


# ---- transfers ---------------------------------------------------------------------------------


def test_transfer_is_executed_once_however_often_it_is_sent() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    for duplicate in (False, True, True):
        events = accepted(engine, Deposit(ALICE, QUOTE, "50", "d1"))
        assert (engine.outcome.duplicate, events == []) == (duplicate, duplicate)
    accepted(engine, Withdraw(ALICE, QUOTE, "30", "w1"))
    accepted(engine, Withdraw(ALICE, QUOTE, "30", "w1"))
    assert available(engine, ALICE, QUOTE) == 120


@pytest.mark.parametrize(
    "other",
    [Deposit(ALICE, QUOTE, "51", "d1"), Deposit(ALICE, BASE, "50", "d1"), Withdraw(ALICE, QUOTE, "50", "d1")],
)
def test_transfer_id_with_another_body_is_refused(other: Deposit | Withdraw) -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    accepted(engine, Deposit(ALICE, QUOTE, "50", "d1"))
    assert reason_of(engine, other) == "transfer_id_reused"


def test_transfer_ids_are_per_account() -> None:
    engine = engine_with()
    accepted(engine, Deposit(ALICE, QUOTE, "50", "d1"))
    accepted(engine, Deposit(BOB, QUOTE, "60", "d1"))
    assert not engine.outcome.duplicate


def test_refused_transfer_does_not_use_up_its_id() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 10}})
    rejection = refused(engine, Withdraw(ALICE, QUOTE, "11", "w"))
    assert (rejection.reason, rejection.limit, rejection.actual, rejection.unit) == (
        "insufficient_balance", "10", "11", QUOTE,
    )  # fmt: skip
    accepted(engine, Withdraw(ALICE, QUOTE, "10", "w"))


def test_withdrawal_takes_from_available_only() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}}, resting=[buy(ALICE, quantity=6, price=10)])
    assert reason_of(engine, Withdraw(ALICE, QUOTE, "41", "w")) == "insufficient_balance"
    accepted(engine, Withdraw(ALICE, QUOTE, "40", "w"))
    assert (available(engine, ALICE, QUOTE), held(engine, ALICE, QUOTE)) == (0, 60)


def test_balance_may_reach_10_to_the_30_and_no_more() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 10**30 - 1}})
    accepted(engine, Deposit(ALICE, QUOTE, "1", "a"))
    rejection = refused(engine, Deposit(ALICE, QUOTE, "1", "b"))
    assert (rejection.reason, rejection.limit) == ("amount_out_of_range", str(10**30))
    assert reason_of(engine, Deposit(BOB, QUOTE, str(10**30 + 1), "b")) == "amount_out_of_range"
    assert reason_of(engine, Deposit(BOB, QUOTE, "0", "b")) == "amount_out_of_range"
    assert reason_of(engine, Deposit(BOB, "NOPE", "1", "b")) == "invalid_request"


def test_transfer_is_stated_signed() -> None:
    engine = engine_with(balances={ALICE: {QUOTE: 100}})
    into = only(FundsTransferred, accepted(engine, Deposit(ALICE, QUOTE, "5", "d")))
    out = only(FundsTransferred, accepted(engine, Withdraw(ALICE, QUOTE, "7", "w")))
    assert (into.amount, out.amount) == ("5", "-7")


# ---- limits and epochs -------------------------------------------------------------------------


def test_negative_limit_is_refused() -> None:
    assert refused(engine_with(), SetLimits({"open_orders": "-1"})).field == "open_orders"


def test_epoch_only_rises_and_restarts_the_books_sequences() -> None:
    engine = engine_with(resting=[buy(quantity=1, price=10)])
    accepted(engine, StartEpoch(3))
    assert reason_of(engine, StartEpoch(3)) == "invalid_request"
    accepted(engine, buy(quantity=1, price=11))
    delta = engine.seal().books[0].delta
    assert delta is not None
    assert (delta.epoch, delta.prev_seq, delta.seq) == (3, 0, 1)
