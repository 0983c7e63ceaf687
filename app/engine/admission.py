"""Quick admission: whether a plain limit order passes every check, as one conjunction of integer comparisons.

The ordered checks (risk.py, controls.py) say which rule an order breaks; nearly every order breaks none. What is
admitted here passes all of them, which a property test holds against them; whatever is not goes through them.
"""

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderType, Side, TimeInForce
from app.engine.book import Book
from app.engine.bounds import INTEGER_MAX
from app.engine.limits import Gate, resolve
from app.engine.positions import Position
from app.engine.state import Account, State

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_LIMIT = OrderType.LIMIT
_BUY = Side.BUY
_GTC = TimeInForce.GTC
_IOC = TimeInForce.IOC


def admits_plainly(terms: PlaceOrder, account: Account, book: Book, state: State) -> Position | None:
    """Return the position of a plain order that passes every check but the last, funds; None says but to run them.

    Plain are limit orders that may rest or end at once, without rare fields: nearly all there are.
    """
    price, quantity, bounds, time_in_force = terms.price, terms.quantity, book.bounds, terms.time_in_force
    if (
        price is None
        or not bounds.price_low <= price <= bounds.price_high
        or not bounds.quantity_low <= quantity <= bounds.quantity_high
        or (time_in_force is not _GTC and time_in_force is not _IOC)
        or terms.type is not _LIMIT
        or terms.post_only is not None
        or terms.max_slippage is not None
        or terms.display_quantity is not None
        or terms.trigger_price is not None
        or terms.trigger_by is not None
        or terms.trailing_offset is not None
        or terms.quote_quantity is not None
        or terms.expire_ns is not None
        or terms.reduce_only
        or account.is_restrained
        or state.kills
    ):
        return None
    notional = price * quantity * book.notional_unit
    gate = account.gate
    if gate is None or gate.version != state.limits_version:
        gate = resolve(state, account)
    if not bounds.notional_low <= notional <= bounds.notional_high or len(account.open_orders) >= gate.open_orders:
        return None
    position = None
    if not gate.is_plain:
        try:
            position = account.positions[book.symbol]
        except KeyError:
            position = account.position(book)
        if not _keeps_limits(terms, notional, position, state, gate):
            return None
    # What the sums of check_sums come to for a new order.
    if terms.side is _BUY:
        level = book.bids.levels.get(price)
    else:
        best = book.bids.best
        if best is not None and best.price * quantity * book.notional_unit > INTEGER_MAX:
            return None
        level = book.asks.levels.get(price)
    if level is not None and level.quantity + quantity > INTEGER_MAX:
        return None
    # A refused order makes no position that is looked at for no limit.
    return account.position(book) if position is None else position


def _keeps_limits(terms: PlaceOrder, notional: int, position: Position, state: State, gate: Gate) -> bool:
    """Return whether an order with a price keeps every limit that holds for its account; counts nothing."""
    book, turnover, is_buy = position.book, position.turnover, terms.side is _BUY
    if turnover.day != state.day:
        turnover.begin_day(state.day)
    if gate.is_counted:
        # Few prints for many orders are looked at again.
        counts = position.account.counts
        assert counts is not None, f"account {position.account.account_id} has limits of rates and no counts"
        if counts.second != state.second:
            counts.begin_second(state.second)
        if (
            counts.messages >= gate.message_rate
            or counts.rejections > gate.rejection_rate
            or (gate.counts_symbols and counts.symbols.get(book.symbol, 0) >= gate.symbol_message_rate)
            or (counts.accepted >= gate.order_trade_ratio * (turnover.prints or 1) and counts.day == state.day)
        ):
            return False
        if gate.remembers_orders and terms.client_order_id is None:
            counts.likeness = key = (book.symbol, is_buy, None, terms.price, terms.quantity)
            accepted_ns = counts.recent.get(key)
            if accepted_ns is not None and state.timestamp_ns - accepted_ns < gate.duplicate_window_ns:
                return False
    open_notional = turnover.open_notional + notional
    if (
        position.open_orders >= gate.symbol_open_orders
        or notional > gate.order_notional
        or open_notional > gate.open_notional
        or turnover.notional + open_notional > gate.daily_notional
        or -turnover.profit > gate.daily_loss
    ):
        return False
    # As controls.position_worth has it.
    net = position.net
    lots = abs(net + position.buying + terms.quantity if is_buy else net - position.selling - terms.quantity)
    if lots <= abs(net):
        return True
    reference = book.last_price or book.reference_price() or terms.price
    assert reference is not None, "only orders with a price are plain"
    return lots * reference * book.notional_unit <= gate.position_notional
