"""A rejection of the engine in the client's words and numbers."""

import pytest

from app.domain.enums import RejectReason
from app.domain.events import Rejection
from app.domain.instrument import Instrument
from app.protocol.codes import CODES
from app.protocol.rejections import rejection_error

BTC = Instrument("BTC-USD", "BTC", "USD", "0.01", "0.00000001", 8, 10, notional_unit=1, lot_units=1)


class Assets:
    """USD only."""

    def get(self, symbol: str) -> Instrument | None:
        return None

    def all(self) -> list[Instrument]:
        return []

    def asset_scale(self, asset: str) -> int | None:
        return 10 if asset == "USD" else None


@pytest.mark.parametrize(
    ("unit", "instrument", "shown"),
    [
        ("ticks", BTC, "1234567.89"),
        ("lots", BTC, "1.23456789"),
        ("USD", None, "0.0123456789"),
        ("count", None, "123456789"),
        ("ns", None, "123.456789"),
        # Nothing is better than a number in units that the client does not know.
        ("ticks", None, None),
        ("EUR", None, None),
    ],
)
def test_limit_and_actual_are_told_in_the_clients_numbers_or_not_at_all(
    unit: str, instrument: Instrument | None, shown: str | None
) -> None:
    rejection = Rejection(RejectReason.INVALID_REQUEST, "price", "123456789", "123456789", unit)
    error = rejection_error(rejection, Assets(), instrument)
    assert (error.code, error.field, error.limit, error.actual) == ("invalid_request", "price", shown, shown)


def test_an_end_in_the_past_is_told_as_a_time_under_the_name_that_the_request_has() -> None:
    rejection = Rejection(RejectReason.INVALID_REQUEST, "expire_ns", "1700000000000000000", "1600000000000000000", "ns")
    error = rejection_error(rejection, Assets())
    assert (error.field, error.limit, error.actual) == (
        "expire_at",
        "2023-11-14T22:13:20.000000Z",
        "2020-09-13T12:26:40.000000Z",
    )


def test_a_refusal_without_numbers_has_none() -> None:
    error = rejection_error(Rejection(RejectReason.NO_LIQUIDITY), Assets())
    assert (error.code, error.field, error.limit, error.actual) == ("no_liquidity", None, None, None)


def test_another_code_speaks_for_itself_whatever_the_field() -> None:
    error = rejection_error(Rejection(RejectReason.PRICE_BAND, "price"), Assets())
    assert error.detail == CODES["price_band"].title
