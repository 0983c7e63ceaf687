"""What must hold after every command: checked in tests, and in production at each checkpoint.

Each function raises AssertionError with what it expected and what it found.
"""

from collections import defaultdict

from app.domain.enums import OrderStatus
from app.domain.identity import EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID
from app.engine.book import BookSide
from app.engine.bounds import Bounds
from app.engine.ledger import Ledger
from app.engine.recorder import Recorder
from app.engine.state import State


def check(state: State) -> None:
    """Check everything; costs time in proportion to the state."""
    check_balances(state)
    check_books(state)
    check_orders(state)


def check_balances(state: State) -> None:
    """No negative balance, holds equal to what the orders hold, every asset's balances add up to nothing."""
    held: defaultdict[tuple[int, str], int] = defaultdict(int)
    ledger = Ledger(state, Recorder(state))
    for account in state.accounts.values():
        for order in account.open_orders.values():
            required = ledger.required_hold(order)
            assert order.held == required, f"order {order.order_id}: expected hold {required}, was {order.held}"
            held[account.account_id, order.balance.asset] += order.held
    sums: defaultdict[str, int] = defaultdict(int)
    for account in state.accounts.values():
        house = account.account_id in (EXTERNAL_ACCOUNT_ID, FEE_ACCOUNT_ID)
        for asset, balance in account.balances.items():
            where = f"account {account.account_id} {asset}"
            assert house or balance.available >= 0, f"{where}: negative available {balance.available}"
            expected = held[account.account_id, asset]
            assert balance.held == expected, f"{where}: expected held {expected}, was {balance.held}"
            sums[asset] += balance.available + balance.held
    for asset, total in sums.items():
        assert total == 0, f"{asset}: expected all balances to add up to 0, was {total}"


def check_books(state: State) -> None:
    """Not crossed, bounds of the rules that hold, level sums right, queues linked both ways, best level at hand."""
    for symbol, book in state.books.items():
        bid, ask = book.bids.best, book.asks.best
        assert bid is None or ask is None or bid.price < ask.price, f"{symbol} is crossed"
        assert book.bounds == Bounds(book.instrument, book.last_price), f"{symbol}: bounds of other rules or prices"
        for side in (book.bids, book.asks):
            _check_side(symbol, side)


def _check_side(symbol: str, side: BookSide) -> None:
    levels = list(side.best_first())
    prices = [level.price for level in levels]
    assert prices == sorted(side.levels, reverse=side.direction > 0), f"{symbol}: price order {prices}"
    assert (levels[0] if levels else None) is side.best, f"{symbol}: wrong best level"
    for level in levels:
        total, ahead, order = 0, None, level.head
        while order is not None:
            assert order.ahead is ahead, f"{symbol} {level.price}: broken queue at order {order.order_id}"
            assert order.level is level, f"{symbol} {level.price}: order {order.order_id} names another level"
            total += order.remaining
            ahead, order = order, order.behind
        assert level.tail is ahead, f"{symbol} {level.price}: wrong tail"
        assert total == level.quantity > 0, f"{symbol} {level.price}: expected {total}, was {level.quantity}"


def check_orders(state: State) -> None:
    """Quantities add up, open orders are in the book and known, ended ones are in neither."""
    for order in state.orders.values():
        shown = order.state
        status, filled, quantity = shown.status, shown.filled_quantity, shown.quantity
        is_open = status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
        where = f"order {order.order_id} ({status})"
        assert is_open == (order.order_id in order.account.open_orders), f"{where}: wrong in open_orders"
        assert is_open == (order.level is not None), f"{where}: wrong in the book"
        assert order.price == shown.price, f"{where}: expected price {shown.price}, was {order.price}"
        assert 0 <= filled <= quantity, f"{where}: filled {filled} of {quantity}"
        expected = quantity - filled if is_open else 0
        assert order.remaining == expected, f"{where}: expected remaining {expected}, was {order.remaining}"
        assert (status is OrderStatus.FILLED) == (filled == quantity), f"{where}: status and quantity differ"
        assert is_open or order.held == 0, f"{where}: still holds {order.held}"
