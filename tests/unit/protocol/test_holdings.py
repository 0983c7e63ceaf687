"""Positions and ledger entries in decimal text."""

import msgspec
import pytest

from app.protocol.holdings import (
    PositionFigures,
    ledger_entry_shape,
    position_shape,
    priced_position_shape,
)
from tests.market_stream import instrument

LISTED = instrument("BTC-USD")
"""A tick is 0.01, a lot 0.001, a quote unit 1e-10."""
LONG = PositionFigures("BTC-USD", 2_000, 2_000 * 10_000 * LISTED.notional_unit, 15 * 10**10, -(10**9))
"""2 bought at 100."""
SHORT = LONG._replace(quantity=-2_000)
FLAT = PositionFigures("BTC-USD", 0, 0, -5, 7)


def test_a_position_shows_its_mean_price_and_what_was_realized() -> None:
    shape = msgspec.to_builtins(position_shape(LONG, LISTED))
    assert shape == {
        "symbol": "BTC-USD",
        "quantity": "2",
        "average_price": "100",
        "realized_pnl": "15",
        "fees": "-0.1",
    }


def test_a_closed_position_has_no_mean_price() -> None:
    shape = position_shape(FLAT, LISTED)
    assert (shape.quantity, shape.average_price, shape.realized_pnl) == ("0", None, "-0.0000000005")


@pytest.mark.parametrize(
    ("figures", "price", "gain"),
    [(LONG, "103", "6"), (LONG, "99.995", "-0.01"), (SHORT, "103", "-6"), (SHORT, "90", "20"), (FLAT, "1", "0")],
)
def test_the_open_part_is_valued_at_a_price_of_any_precision(figures: PositionFigures, price: str, gain: str) -> None:
    assert priced_position_shape(figures, LISTED, price).unrealized_pnl == gain


def test_without_a_price_there_is_no_value_and_the_member_says_so() -> None:
    assert msgspec.to_builtins(priced_position_shape(LONG, LISTED, None))["unrealized_pnl"] is None


def test_an_entry_shows_amount_and_balance_in_its_asset() -> None:
    entry = ledger_entry_shape(
        "BTC", 8, -150_000_000, 10**30, cause="trade", ref="BTC-USD:7", engine_seq=9, timestamp_ns=0
    )
    assert (entry.amount, entry.balance, entry.ts) == ("-1.5", f"1{'0' * 22}", "1970-01-01T00:00:00.000000Z")
