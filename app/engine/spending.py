"""Market buys by quote_quantity: how many lots their money still buys, and when they are done."""

from app.domain.instrument import RATE_SCALE
from app.engine.state import Order


def affordable(taker: Order, price: int, spent: int = 0) -> int:
    """Return the lots that a market buy by quote_quantity can pay at a price, their fee included.

    `spent` is the notional that it traded since its last event; the fee for it is accrued already.
    """
    book, money = taker.book, taker.terms.quote_quantity
    assert money is not None, f"order {taker.order_id} does not spend money"
    rate = min(taker.rates.taker, book.rates.taker)
    # notional + ceil((accrued + notional x rate) / RATE_SCALE) - fees <= money left, solved for the notional.
    left = money - taker.state.notional - spent
    most = (left * RATE_SCALE - taker.fee_accrued) // (RATE_SCALE + rate)
    return most // (price * book.notional_unit)


def is_spent(taker: Order, notional: int, fee: int) -> bool:
    """Return whether a trade leaves a market buy by quote_quantity nothing, or too little for a lot that it reaches."""
    assert taker.terms.quote_quantity is not None
    if taker.terms.quote_quantity == taker.state.notional + notional + taker.state.fees + fee:
        return True
    level = taker.book.asks.best
    return level is not None and taker.reaches(level.price) and not affordable(taker, level.price, notional)
