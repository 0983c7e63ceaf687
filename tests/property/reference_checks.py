"""The checks of the reference model: every order before the book, in ENGINE.md's order."""

from fractions import Fraction
from math import ceil, floor

from app.domain.commands import PlaceOrder
from app.domain.enums import (
    AccountStatus,
    InstrumentStatus,
    OrderType,
    PostOnly,
    RejectReason,
    Side,
    TimeInForce,
)
from app.domain.instrument import Instrument
from tests.property.reference_listing import INTEGER_MAX, INVALID, WHOLE, ReferenceListing
from tests.property.reference_records import RefAccount, RefOrder, Refused


class ReferenceChecks(ReferenceListing):
    """Checks that look at accounts and books; each raises Refused or lets pass."""

    def check_status(self, instrument: Instrument, account: RefAccount, terms: PlaceOrder) -> None:
        status = instrument.status
        if status is InstrumentStatus.HALTED:
            raise Refused(RejectReason.INSTRUMENT_HALTED)
        admitted = status is InstrumentStatus.OPEN or (status is InstrumentStatus.POST_ONLY and terms.post_only)
        if not admitted:
            raise Refused(RejectReason.INSTRUMENT_NOT_OPEN)
        if account.status is AccountStatus.FROZEN:
            raise Refused(RejectReason.ACCOUNT_FROZEN)

    def working_price(self, terms: PlaceOrder, instrument: Instrument, price: int | None) -> int:
        """Return the limit to check, hold and trade at: the price, a market order's cap, or a repriced price."""
        opposite = Side.SELL if terms.side is Side.BUY else Side.BUY
        best, _ = self.best(terms.symbol, opposite)
        if terms.type is OrderType.MARKET:
            if not best:
                raise Refused(RejectReason.NO_LIQUIDITY)
            return cap_price(best, instrument, terms)
        assert price is not None
        takes = best and (price >= best if terms.side is Side.BUY else price <= best)
        if terms.post_only is None or not takes:
            return price
        beside = best - 1 if terms.side is Side.BUY else best + 1
        if terms.post_only is PostOnly.REPRICE and beside >= 1:
            return beside
        raise Refused(RejectReason.POST_ONLY_WOULD_TAKE, "price", limit=best, actual=price, unit="ticks")

    def check_sums(self, order: RefOrder) -> None:
        """No sum that travels as an integer may pass 64 bits: what the order may trade, and its level."""
        instrument, symbol, side = order.instrument, order.terms.symbol, order.terms.side
        most = order.price
        if side is Side.SELL:
            most = max(most, self.best(symbol, Side.BUY)[0])
        total = order.notional + most * order.remaining * instrument.notional_unit
        if total > INTEGER_MAX:
            raise Refused(RejectReason.NOTIONAL_OUT_OF_RANGE, limit=INTEGER_MAX, actual=total, unit=instrument.quote)
        others = [o for o in self.open if o.order_id != order.order_id and o.arrival is not None]
        level = [o for o in others if (o.terms.symbol, o.terms.side, o.price) == (symbol, side, order.price)]
        lots = sum(o.remaining for o in level) + order.remaining
        if level and lots > INTEGER_MAX:
            raise Refused(RejectReason.QUANTITY_OUT_OF_RANGE, "quantity", limit=INTEGER_MAX, actual=lots, unit="lots")

    def check_band(self, symbol: str, price: int) -> None:
        instrument = self.instruments[symbol]
        if instrument.price_band is None:
            return
        bid, ask = self.best(symbol, Side.BUY)[0], self.best(symbol, Side.SELL)[0]
        mid = (bid + ask) // 2 if bid and ask else None
        reference = self.last_prices.get(symbol) or mid or instrument.reference_price
        assert reference is not None
        reach = reference * instrument.price_band // WHOLE
        for broken, edge in (
            (price < reference - reach, max(1, reference - reach)),
            (price > reference + reach, reference + reach),
        ):
            if broken:
                raise Refused(RejectReason.PRICE_BAND, "price", limit=edge, actual=price, unit="ticks")

    def check_available(self, order: RefOrder, more: int) -> None:
        available = self.available(order.terms.account_id, order.hold_asset)
        if more > available:
            asset = order.hold_asset
            raise Refused(RejectReason.INSUFFICIENT_BALANCE, limit=available, actual=more, unit=asset)


def check_form(terms: PlaceOrder, instrument: Instrument) -> None:
    """Refuse what makes no order."""
    if terms.type not in instrument.order_types:
        raise Refused(RejectReason.TYPE_NOT_ALLOWED, "type")
    if terms.type is OrderType.MARKET:
        unfit = {
            "price": terms.price is not None,
            "post_only": terms.post_only is not None,
            "time_in_force": terms.time_in_force not in {TimeInForce.IOC, TimeInForce.FOK},
        }
    else:
        if terms.price is None:
            raise Refused(INVALID, "price")
        if terms.time_in_force in {TimeInForce.GTD, TimeInForce.DAY}:
            raise Refused(RejectReason.TYPE_NOT_ALLOWED, "time_in_force")
        unfit = {"post_only": terms.post_only is not None and terms.time_in_force is not TimeInForce.GTC}
    for field, is_unfit in unfit.items():
        if is_unfit:
            raise Refused(INVALID, field)


def check_numbers(instrument: Instrument, price: int, quantity: int) -> None:
    """Refuse numbers outside the engine's or the instrument's range."""

    def outside(value: int, low: int | None, high: int | None) -> int | None:
        """Return the bound that is broken."""
        if low is not None and value < low:
            return low
        return high if high is not None and value > high else None

    if not 1 <= quantity <= INTEGER_MAX:
        raise Refused(RejectReason.QUANTITY_OUT_OF_RANGE, "quantity", limit=INTEGER_MAX, actual=quantity, unit="lots")
    if not 1 <= price <= INTEGER_MAX:
        raise Refused(INVALID, "price", limit=INTEGER_MAX, actual=price, unit="ticks")
    most = INTEGER_MAX // instrument.lot_units
    for low, high in ((instrument.min_quantity, instrument.max_quantity), (None, most)):
        broken = outside(quantity, low, high)
        if broken is not None:
            raise Refused(RejectReason.QUANTITY_OUT_OF_RANGE, "quantity", limit=broken, actual=quantity, unit="lots")
    notional = price * quantity * instrument.notional_unit
    for low, high in ((None, INTEGER_MAX), (instrument.min_notional, instrument.max_notional)):
        broken = outside(notional, low, high)
        if broken is not None:
            raise Refused(RejectReason.NOTIONAL_OUT_OF_RANGE, limit=broken, actual=notional, unit=instrument.quote)


def cap_price(best: int, instrument: Instrument, terms: PlaceOrder) -> int:
    """Return the worst price of a market order, rounded towards the best one and at least one tick."""
    slippage = (
        instrument.max_slippage if terms.max_slippage is None else min(instrument.max_slippage, terms.max_slippage)
    )
    moved = Fraction(best * slippage, WHOLE)
    if terms.side is Side.BUY:
        return floor(best + moved)
    return max(1, ceil(best - moved))


def in_steps(number: int | None, scale: int | None, step: str, current: int) -> int | None:
    """Return an amended number in ticks or lots; None if it is not an exact multiple."""
    if number is None:
        return current
    if scale is None:
        return number
    steps = Fraction(number, 10**scale) / Fraction(step)
    return int(steps) if steps.denominator == 1 else None
