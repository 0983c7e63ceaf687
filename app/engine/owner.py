"""Whose orders must not trade with each other: those of one account, and of accounts of one group."""

from app.engine.state import Order, State


def one_owner(taker: Order, maker: Order) -> bool:
    """Return whether the two must not trade: orders of one account, or of accounts of one group."""
    owner, other = taker.account, maker.account
    return owner is other or (owner.stp_group is not None and owner.stp_group == other.stp_group)


def crossed_of_owner(taker: Order, state: State) -> list[Order]:
    """Return the resting orders of the taker's owner that its price reaches, in price-time order."""
    book, group = taker.book, taker.account.stp_group
    accounts = [taker.account]
    if group is not None:
        accounts = [account for account in state.accounts.values() if account.stp_group == group]
    found: dict[int, list[Order]] = {}
    for account in accounts:
        for order in account.open_orders.values():
            level = order.level
            if level is None or order.book is not book or order.is_buy is taker.is_buy:
                continue
            if taker.reaches(level.price):
                found.setdefault(order.price, []).append(order)
    ordered: list[Order] = []
    for price in sorted(found, reverse=not taker.is_buy):
        orders = found[price]
        ordered += orders if len(orders) == 1 else _in_queue(orders)
    return ordered


def _in_queue(orders: list[Order]) -> list[Order]:
    """Return orders of one level in the order of its queue."""
    level, ids = orders[0].level, {order.order_id for order in orders}
    assert level is not None
    ordered: list[Order] = []
    order = level.head
    while order is not None and len(ordered) < len(orders):
        if order.order_id in ids:
            ordered.append(order)
        order = order.behind
    return ordered
