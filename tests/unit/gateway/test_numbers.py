"""Decimal text to the engine's integers and back."""

import pytest

from app.domain.instrument import Instrument
from app.errors import ApiError
from app.gateway.numbers import amount_units, price_ticks, quantity_lots, rate_units

BTC = Instrument("BTC-USD", "BTC", "USD", "0.01", "0.00000001", 8, 10, notional_unit=1, lot_units=1)
FIVES = Instrument("F-USD", "F", "USD", "0.05", "0.5", 2, 4, notional_unit=250, lot_units=50)


@pytest.mark.parametrize(
    ("text", "ticks"), [("0.01", 1), ("100", 10_000), ("100.00", 10_000), ("100.000", 10_000), ("0.10", 10)]
)
def test_prices_become_ticks_exactly(text: str, ticks: int) -> None:
    assert price_ticks(text, BTC) == ticks


def test_a_tick_that_is_no_power_of_ten_counts_too() -> None:
    assert price_ticks("1.15", FIVES) == 23
    assert quantity_lots("2.5", FIVES) == 5


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0.001", "invalid_price_tick"),
        ("100.005", "invalid_price_tick"),
        ("0", "invalid_request"),
        ("0.00", "invalid_request"),
        ("-1", "invalid_request"),
        ("1e5", "invalid_request"),
        ("٣", "invalid_request"),
        ("01", "invalid_request"),
        ("9" * 41, "invalid_request"),
        ("9" * 40, "invalid_request"),
        ("92233720368547758.08", "invalid_request"),
    ],
)
def test_prices_that_are_none_are_refused_with_their_code(text: str, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        price_ticks(text, BTC)
    assert (caught.value.code, caught.value.field) == (code, "price")


def test_the_largest_price_is_accepted() -> None:
    assert price_ticks("92233720368547758.07", BTC) == 2**63 - 1


def test_quantities_name_their_lot() -> None:
    with pytest.raises(ApiError, match=r"multiple of 0\.5") as caught:
        quantity_lots("0.3", FIVES)
    assert caught.value.code == "invalid_quantity_lot"


def test_amounts_may_pass_64_bits_but_not_their_scale() -> None:
    assert amount_units("1" + "0" * 25, 8, "amount") == 10**33
    with pytest.raises(ApiError, match="at most 2 decimal places"):
        amount_units("0.001", 2, "amount")


def test_rates_may_be_negative_and_have_eight_decimals() -> None:
    assert rate_units("-0.0001", "maker_fee") == -10_000
    assert rate_units("0.00000001", "taker_fee") == 1
    with pytest.raises(ApiError):
        rate_units("0.000000001", "taker_fee")
