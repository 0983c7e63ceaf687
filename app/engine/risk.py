"""Checks before the book: every order passes them in one fixed order, the first failure wins.

Each check returns None or a Rejection with its code, limit and actual value. Nothing here changes
state. The order of checks is ENGINE.md's; checks whose controls do not exist yet have no entry.
"""

from app.domain.commands import PlaceOrder
from app.domain.enums import AccountStatus, InstrumentStatus, OrderType, RejectReason, Side, TimeInForce
from app.domain.events import Rejection
from app.domain.instrument import RATE_SCALE, Instrument
from app.engine.book import Book
from app.engine.bounds import INTEGER_MAX
from app.engine.recorder import refuse
from app.engine.state import Account, Order
from app.engine.triggers import trail_price

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_ACCOUNT_FROZEN = AccountStatus.FROZEN
_AUCTION = InstrumentStatus.AUCTION
_HALTED = InstrumentStatus.HALTED
_INSTRUMENT_OPEN = InstrumentStatus.OPEN
_POST_ONLY = InstrumentStatus.POST_ONLY
_LIMIT = OrderType.LIMIT
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
_BUY = Side.BUY


def check_phase(book: Book, terms: PlaceOrder) -> Rejection | None:
    """Refuse new risk while the instrument does not admit it."""
    status = book.instrument.status
    if status is not _INSTRUMENT_OPEN:
        if status is _AUCTION:
            admits = gathers(terms) and book.uncross_price is None
        else:
            admits = status is _POST_ONLY and terms.post_only is not None
        if not admits:
            halted = status is _HALTED
            return refuse(RejectReason.INSTRUMENT_HALTED if halted else RejectReason.INSTRUMENT_NOT_OPEN)
    return None


def check_frozen(account: Account) -> Rejection | None:
    """Refuse new risk while the account does not admit any."""
    if account.status is _ACCOUNT_FROZEN:
        return refuse(RejectReason.ACCOUNT_FROZEN)
    return None


def gathers(terms: PlaceOrder) -> bool:
    """Return whether a call auction admits an order: one that rests until it meets."""
    return terms.type is _LIMIT and terms.time_in_force not in _AT_ONCE and terms.post_only is None


def check_numbers(instrument: Instrument, price: int, quantity: int) -> Rejection | None:
    """Refuse a quantity or notional outside the instrument's range, or too large to be exact everywhere."""
    return check_quantity(instrument, price, quantity) or check_notional(instrument, price, quantity)


def check_quantity(instrument: Instrument, price: int, quantity: int) -> Rejection | None:
    """Refuse a price that is none, and a quantity outside the instrument's range."""
    if not 0 < quantity <= INTEGER_MAX:
        return refuse(
            RejectReason.QUANTITY_OUT_OF_RANGE, field="quantity", limit=INTEGER_MAX, actual=quantity, unit="lots"
        )
    if not 0 < price <= INTEGER_MAX:
        return refuse(RejectReason.INVALID_REQUEST, field="price", limit=INTEGER_MAX, actual=price, unit="ticks")
    low, high = instrument.min_quantity, instrument.max_quantity
    if low is not None and quantity < low:
        return refuse(RejectReason.QUANTITY_OUT_OF_RANGE, field="quantity", limit=low, actual=quantity, unit="lots")
    if high is not None and quantity > high:
        return refuse(RejectReason.QUANTITY_OUT_OF_RANGE, field="quantity", limit=high, actual=quantity, unit="lots")
    if quantity * instrument.lot_units > INTEGER_MAX:
        most = INTEGER_MAX // instrument.lot_units
        return refuse(RejectReason.QUANTITY_OUT_OF_RANGE, field="quantity", limit=most, actual=quantity, unit="lots")
    return None


def check_notional(instrument: Instrument, price: int, quantity: int) -> Rejection | None:
    """Refuse a notional outside the instrument's range."""
    notional = price * quantity * instrument.notional_unit
    unit = instrument.quote
    if notional > INTEGER_MAX:
        return refuse(RejectReason.NOTIONAL_OUT_OF_RANGE, limit=INTEGER_MAX, actual=notional, unit=unit)
    low, high = instrument.min_notional, instrument.max_notional
    if low is not None and notional < low:
        return refuse(RejectReason.NOTIONAL_OUT_OF_RANGE, limit=low, actual=notional, unit=unit)
    if high is not None and notional > high:
        return refuse(RejectReason.NOTIONAL_OUT_OF_RANGE, limit=high, actual=notional, unit=unit)
    return None


def check_money(book: Book, quote_quantity: int, taker_rate: int) -> Rejection | None:
    """Refuse what a market buy may spend if it is outside the instrument's range, or too little for one lot."""
    instrument, best = book.instrument, book.asks.best
    unit, field = instrument.quote, "quote_quantity"
    lowest, highest = instrument.min_notional, instrument.max_notional
    if not 0 < quote_quantity <= INTEGER_MAX:
        lowest, highest = None, INTEGER_MAX
    if lowest is not None and quote_quantity < lowest:
        return refuse(RejectReason.NOTIONAL_OUT_OF_RANGE, field=field, limit=lowest, actual=quote_quantity, unit=unit)
    if highest is not None and not 0 < quote_quantity <= highest:
        return refuse(RejectReason.NOTIONAL_OUT_OF_RANGE, field=field, limit=highest, actual=quote_quantity, unit=unit)
    assert best is not None, "an order without liquidity was refused before"
    notional = best.price * instrument.notional_unit
    cost = notional - (-notional * taker_rate // RATE_SCALE)
    if cost > quote_quantity:
        return refuse(RejectReason.QUANTITY_OUT_OF_RANGE, field=field, limit=cost, actual=quote_quantity, unit=unit)
    return None


def first_trigger(terms: PlaceOrder, book: Book) -> tuple[int | None, int | None]:
    """Return the trigger price an order starts with, and a trailing stop's watermark; None when there is no price."""
    if terms.trailing_offset is None:
        return terms.trigger_price, None
    watermark = book.reference_price()
    if watermark is None:
        return None, None
    return trail_price(watermark, terms.trailing_offset, -1 if terms.side is _BUY else 1), watermark


def check_sums(book: Book, side: Side, price: int, quantity: int, amended: Order | None = None) -> Rejection | None:
    """Refuse what could take the order's traded notional, or its level's quantity, past a 64-bit integer.

    A sell trades at better prices than its own, and many orders share a level: neither sum is bounded by the
    numbers of the order alone, and both travel as integers. `quantity` is what is still open of an `amended` order.
    """
    own, opposite = (book.bids, book.asks) if side is _BUY else (book.asks, book.bids)
    # A new buy cannot pay more than its limit, and that product was checked.
    if amended is not None or side is not _BUY:
        best = opposite.best
        worst = price if best is None or side is _BUY else max(price, best.price)
        traded = 0 if amended is None else amended.state.notional
        notional = traded + worst * quantity * book.instrument.notional_unit
        if notional > INTEGER_MAX:
            unit = book.instrument.quote
            return refuse(RejectReason.NOTIONAL_OUT_OF_RANGE, limit=INTEGER_MAX, actual=notional, unit=unit)
    level = own.levels.get(price)
    if level is not None:
        total = level.quantity + quantity
        if amended is not None and amended.level is level:
            total -= amended.shown
        if total > INTEGER_MAX:
            return refuse(
                RejectReason.QUANTITY_OUT_OF_RANGE, field="quantity", limit=INTEGER_MAX, actual=total, unit="lots"
            )
    return None


def band_of(book: Book) -> tuple[int, int] | None:
    """Return the lowest and highest price in ticks that the reference price admits; None without a band."""
    band = book.instrument.price_band
    if band is None:
        return None
    reference = book.reference_price()
    assert reference is not None, "an instrument with a band has a configured reference price"
    distance = reference * band // RATE_SCALE
    return max(reference - distance, 1), reference + distance


def check_band(book: Book, price: int) -> Rejection | None:
    """Refuse a price too far from the reference price."""
    band = band_of(book)
    if band is None:
        return None
    low, high = band
    if price < low:
        return refuse(RejectReason.PRICE_BAND, field="price", limit=low, actual=price, unit="ticks")
    if price > high:
        return refuse(RejectReason.PRICE_BAND, field="price", limit=high, actual=price, unit="ticks")
    return None


def cap_price(book: Book, terms: PlaceOrder, best: int, *, is_buy: bool) -> int:
    """Return the worst price in ticks that a market order may trade at: best opposite price and its slippage."""
    return price_within(best, slippage_of(book, terms), is_buy=is_buy)


def slippage_of(book: Book, terms: PlaceOrder) -> int:
    """Return the rate by which an order may trade beyond the price its cap starts from."""
    slippage = book.instrument.max_slippage
    return slippage if terms.max_slippage is None else min(slippage, terms.max_slippage)


def price_within(best: int, slippage: int, *, is_buy: bool) -> int:
    """Return the worst price within a slippage, rounded towards the price it starts from and at least one tick."""
    if is_buy:
        return best * (RATE_SCALE + slippage) // RATE_SCALE
    return max(-(-best * (RATE_SCALE - slippage) // RATE_SCALE), 1)
