"""What is listed is exact, and without the demo nothing limits anybody."""

import pytest

from app.dev.catalog import ASSET_SCALES, BOT_FUNDS, CLIENT_FUNDS, INSTRUMENTS, QUOTE, ListedInstrument, instrument_body
from app.domain.decimals import parse_decimal, to_steps
from app.domain.instrument import step_of, units_of


@pytest.mark.parametrize("listed", INSTRUMENTS, ids=lambda listed: listed.symbol)
def test_tick_times_lot_is_a_whole_number_of_quote_units(listed: ListedInstrument) -> None:
    tick, lot = step_of(listed.tick_size), step_of(listed.lot_size)
    product = type(tick)(tick.mantissa * lot.mantissa, tick.scale + lot.scale)
    assert units_of(product, ASSET_SCALES[QUOTE]) is not None
    assert units_of(lot, ASSET_SCALES[listed.base]) is not None
    assert to_steps(listed.start_price, tick) is not None
    assert to_steps(listed.min_quantity, lot) is not None


def test_every_asset_is_funded() -> None:
    assert set(CLIENT_FUNDS) == set(BOT_FUNDS) == set(ASSET_SCALES)
    assert all(parse_decimal(amount) for amount in (*CLIENT_FUNDS.values(), *BOT_FUNDS.values()))
    assert CLIENT_FUNDS == {"USD": "10000000", "BTC": "1000", "ETH": "1000", "AAPL": "1000", "XAU": "1000"}


@pytest.mark.parametrize("listed", INSTRUMENTS, ids=lambda listed: listed.symbol)
def test_without_the_demo_an_instrument_has_no_filter_and_no_fee(listed: ListedInstrument) -> None:
    plain = instrument_body(listed, demo=False)
    assert set(plain) == {"symbol", "base", "quote", "tick_size", "lot_size"}
    assert plain.items() <= instrument_body(listed, demo=True).items()
