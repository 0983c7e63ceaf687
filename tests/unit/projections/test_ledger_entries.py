"""Double entry: whatever a fill or a transfer moves is moved from somewhere."""

import msgspec
import pytest

from app.domain.events import FundsTransferred
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.errors import JournalDamaged
from app.projections.changes import changes_of
from app.projections.ledger_entries import fill_entries, transfer_entries
from tests.journal_rows import chain
from tests.market_stream import MarketStream, instrument


def test_the_two_fills_of_a_trade_and_their_fees_sum_to_zero() -> None:
    stream = MarketStream(seed=2)
    changes = changes_of(chain([stream.genesis(), *(stream.batch(5) for _ in range(30))]), {})
    event = msgspec.structs.replace(changes.fills[0][0])
    terms = event.order.terms
    listed = instrument(terms.symbol)

    entries = fill_entries(event, listed, 7)

    units = event.fill.quantity * listed.lot_units * (1 if terms.side == "buy" else -1)
    notional = event.fill.price * event.fill.quantity * listed.notional_unit * (1 if terms.side == "buy" else -1)
    own = [(entry.asset, entry.amount) for entry in entries if entry.account_id == terms.account_id]
    assert own[:2] == [(listed.base, units), (listed.quote, -notional)]
    assert sum(entry.amount for entry in entries if entry.cause == "fee") == 0
    if event.fill.fee:
        assert (entries[-1].account_id, entries[-1].amount) == (FEE_ACCOUNT_ID, event.fill.fee)


@pytest.mark.parametrize(("amount", "cause"), [("5", "deposit"), ("-5", "withdrawal")])
def test_money_from_and_to_outside_moves_on_the_external_account(amount: str, cause: str) -> None:
    entries = transfer_entries(FundsTransferred(3, 1001, "USD", amount, "t-1"), 9)

    assert [(entry.account_id, entry.amount, entry.cause) for entry in entries] == [
        (1001, int(amount), cause),
        (EXTERNAL_ACCOUNT_ID, -int(amount), cause),
    ]
    assert {entry.ref for entry in entries} == {"t-1"}


def test_each_side_of_a_transfer_between_accounts_moves_its_own() -> None:
    sides = [FundsTransferred(3, 1001, "USD", "-5", "t", 1002), FundsTransferred(3, 1002, "USD", "5", "t", 1001)]

    entries = [entry for side in sides for entry in transfer_entries(side, 9)]

    assert [(entry.account_id, entry.amount, entry.cause) for entry in entries] == [
        (1001, -5, "transfer"),
        (1002, 5, "transfer"),
    ]


def test_a_fill_of_an_instrument_that_was_never_listed_is_damage() -> None:
    stream = MarketStream(seed=2)
    stream.genesis()
    with pytest.raises(JournalDamaged, match="no row before it lists"):
        changes_of(chain(stream.batch(5) for _ in range(30)), {})
