"""What the development exchange lists and who trades on it: plain data, in the words of the wire.

Tick size times lot size is a whole number of USD units (scale 10) for every instrument. Without the
demo the same instruments have no filter and no fee, and nobody but alice and bob has money.
"""

from typing import Any, NamedTuple

ASSET_SCALES = {"USD": 10, "BTC": 8, "ETH": 8, "AAPL": 8, "XAU": 8}
QUOTE = "USD"
BASES = tuple(asset for asset in ASSET_SCALES if asset != QUOTE)

CLIENT_FUNDS = {QUOTE: "10000000", **dict.fromkeys(BASES, "1000")}
"""What alice and bob start with."""
BOT_FUNDS = {QUOTE: "100000000000", "BTC": "100000", "ETH": "1000000", "AAPL": "10000000", "XAU": "1000000"}
"""Enough for years of fees; the bots lean against their inventory, so it never runs out on one side."""

CLIENTS = ("alice", "bob")
ADMINISTRATOR = "admin"
MAKERS = ("demo-maker-1", "demo-maker-2")
TAKERS = ("demo-taker-1",)
BOTS = (*MAKERS, *TAKERS)


class ListedInstrument(NamedTuple):
    """An instrument with the filters it has in the demo, and how its demo price behaves."""

    symbol: str
    base: str
    tick_size: str
    lot_size: str
    start_price: str
    min_quantity: str
    max_quantity: str
    min_notional: str
    usual_quantity: float
    """Median size of a demo taker's order."""
    volatility: float
    """Standard deviation of the logarithm of the demo price after one second."""


INSTRUMENTS = (
    ListedInstrument("BTC-USD", "BTC", "0.01", "0.00000001", "60000", "0.00001", "1000", "1", 0.02, 1.2e-4),
    ListedInstrument("ETH-USD", "ETH", "0.01", "0.00000001", "3000", "0.0001", "10000", "1", 0.3, 1.5e-4),
    ListedInstrument("AAPL", "AAPL", "0.01", "0.0001", "200", "0.01", "100000", "1", 5.0, 0.8e-4),
    ListedInstrument("XAU-USD", "XAU", "0.01", "0.0001", "2500", "0.001", "10000", "1", 0.4, 0.5e-4),
)
DEMO_FEES = {"maker_fee": "0.0002", "taker_fee": "0.0005"}
DEMO_PRICE_BAND = "0.2"
DEMO_MAX_SLIPPAGE = "0.05"


def instrument_body(instrument: ListedInstrument, *, demo: bool) -> dict[str, Any]:
    """Return the body that lists an instrument: with filters and fees in the demo, without any otherwise."""
    body: dict[str, Any] = {
        "symbol": instrument.symbol,
        "base": instrument.base,
        "quote": QUOTE,
        "tick_size": instrument.tick_size,
        "lot_size": instrument.lot_size,
    }
    if demo:
        body |= {
            "min_quantity": instrument.min_quantity,
            "max_quantity": instrument.max_quantity,
            "min_notional": instrument.min_notional,
            "price_band": DEMO_PRICE_BAND,
            "reference_price": instrument.start_price,
            "max_slippage": DEMO_MAX_SLIPPAGE,
            **DEMO_FEES,
        }
    return body
