"""What a plain limit order's numbers must lie between, as one conjunction of integer comparisons.

The ordered checks of risk.py say which rule an order breaks; nearly every order breaks none. The
bounds of a book say that at once, in `admission.admits_plainly`: it admits only what those checks admit (a
property test holds the two against each other), and whatever it does not admit goes through them. A limit that is not
set is a sentinel, so nothing here is ever None.
"""

from app.domain.enums import InstrumentStatus, OrderType
from app.domain.instrument import RATE_SCALE, Instrument

INTEGER_MAX = 2**63 - 1
"""Prices, quantities and the notional of one order fit a signed 64-bit integer."""


class Bounds:
    """Inclusive bounds in ticks, lots and quote units; those of a book that takes no plain limit order hold nothing."""

    __slots__ = (
        "_band",
        "notional_high",
        "notional_low",
        "price_high",
        "price_low",
        "quantity_high",
        "quantity_low",
    )

    def __init__(self, instrument: Instrument, last_price: int | None) -> None:
        self._band = instrument.price_band
        self.quantity_low = instrument.min_quantity or 1
        self.quantity_high = min(instrument.max_quantity or INTEGER_MAX, INTEGER_MAX // instrument.lot_units)
        self.notional_low = instrument.min_notional or 1
        self.notional_high = instrument.max_notional or INTEGER_MAX
        if instrument.status is not InstrumentStatus.OPEN or OrderType.LIMIT not in instrument.order_types:
            self.quantity_high = 0
        self.price_low, self.price_high = 1, INTEGER_MAX
        self.follow(last_price)

    def follow(self, last_price: int | None) -> None:
        """Move the band to a new last price; without one they hold nothing: the mid moves with every order."""
        band = self._band
        if band is None:
            return
        if last_price is None:
            self.price_high = 0
            return
        distance = last_price * band // RATE_SCALE
        low, high = last_price - distance, last_price + distance
        self.price_low = low if low > 1 else 1
        self.price_high = high if high < INTEGER_MAX else INTEGER_MAX

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bounds) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # they follow the last price
