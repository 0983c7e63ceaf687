"""What is traded, with its rules. Immutable; an edit makes a new value.

Units: prices in ticks, quantities in lots, notionals in quote units (`10^-quote_scale`),
rates (fees, bands, slippage) in parts of RATE_SCALE.
"""

from functools import cached_property

import msgspec

from app.domain.decimals import Step, parse_decimal
from app.domain.enums import InstrumentStatus, OrderType

RATE_SCALE_DIGITS = 8
RATE_SCALE = 100_000_000
"""Rates are integers in units of 1e-8: 0.001 (10 basis points) is 100_000."""

ORDER_TYPES = tuple(OrderType)
MAX_SLIPPAGE_DEFAULT = RATE_SCALE // 10


class Instrument(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """Definition and filters of one instrument; None means no limit."""

    symbol: str
    base: str
    quote: str
    tick_size: str
    lot_size: str
    base_scale: int
    quote_scale: int
    notional_unit: int
    """Quote units of one lot at a price of one tick: exact, so a notional is never rounded."""
    lot_units: int
    """Base units of one lot."""
    min_quantity: int | None = None
    max_quantity: int | None = None
    min_notional: int | None = None
    max_notional: int | None = None
    price_band: int | None = None
    reference_price: int | None = None
    max_slippage: int = MAX_SLIPPAGE_DEFAULT
    maker_fee: int = 0
    taker_fee: int = 0
    order_types: tuple[OrderType, ...] = ORDER_TYPES
    status: InstrumentStatus = InstrumentStatus.OPEN
    breaker_move: int | None = None
    """Volatility breaker: rate by which a trade may differ from the price `breaker_window_ns` ago; None is none."""
    breaker_window_ns: int | None = None
    breaker_halt_ns: int | None = None
    """How long the instrument then stays halted."""
    auction_ns: int = 0
    """Length of the call auction after a halt by the breaker; 0 reopens without one."""
    session_close_ns: int = 0
    """When `day` orders end, in nanoseconds after midnight UTC."""

    @cached_property
    def tick(self) -> Step:
        """Tick size as a step."""
        return step_of(self.tick_size)

    @cached_property
    def lot(self) -> Step:
        """Lot size as a step."""
        return step_of(self.lot_size)

    def rates_with(self, maker: int, taker: int) -> tuple[int, int]:
        """Return the maker and taker rate of accounts in a fee tier of these rates: a tier never raises one."""
        return min(self.maker_fee, maker), min(self.taker_fee, taker)


def step_of(text: str) -> Step:
    """Return a tick or lot size as a step; the text was validated when the instrument was created."""
    step = parse_decimal(text)
    assert step is not None and step.mantissa > 0, f"expected a positive decimal, was {text!r}"
    return step


def units_of(step: Step, scale: int) -> int | None:
    """Return the step in units of 10**-scale, or None if it is not a whole number of them."""
    if step.scale > scale:
        return None
    return step.mantissa * int(10 ** (scale - step.scale))
