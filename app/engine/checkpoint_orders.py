"""Orders in a checkpoint: open and remembered ones, with what only some of them have."""

import msgspec

from app.domain.enums import OrderStatus
from app.domain.events import OrderState
from app.engine.book import Rates, rates_of
from app.engine.state import Extras, Order, State
from app.engine.triggers import trigger_of, watermark_of

LIVE = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.UNTRIGGERED, OrderStatus.PENDING)


class StoredExtras(msgspec.Struct, array_like=True):
    """What only some orders have."""

    due_ns: int | None
    display_quantity: int | None
    shown: int
    trigger_price: int | None
    """Of a waiting trailing stop as it stands."""
    watermark: int | None
    slippage: int
    waits: bool
    granted: int
    """Of a child of a list."""


class StoredOrder(msgspec.Struct, array_like=True):
    """An order as a checkpoint holds it; sums beyond 64 bits are text."""

    state: OrderState
    remaining: int
    maker_rate: int
    taker_rate: int
    fee_accrued: str
    held: str
    extras: StoredExtras | None


def dump_order(order: Order) -> StoredOrder:
    """Return an order as it is stored."""
    return StoredOrder(
        order.state,
        order.remaining,
        order.rates.maker,
        order.rates.taker,
        str(order.fee_accrued),
        str(order.held),
        _dump_extras(order),
    )


def _dump_extras(order: Order) -> StoredExtras | None:
    extras = order.extras
    if extras is None:
        return None
    return StoredExtras(
        extras.due_ns,
        extras.display_quantity,
        extras.shown,
        trigger_of(order),
        watermark_of(order),
        extras.slippage,
        extras.waits,
        0 if extras.link is None else extras.link.granted,
    )


def restore_order(state: State, saved: StoredOrder, captured: dict[Rates, Rates]) -> None:
    """Give the state an order back; `captured` shares the rates that orders have in common."""
    shown, terms = saved.state, saved.state.terms
    account, book = state.accounts[terms.account_id], state.books[terms.symbol]
    rates = rates_of(saved.maker_rate, saved.taker_rate)
    rates = book.rates if rates == book.rates else captured.setdefault(rates, rates)
    order = Order(shown, account.position(book), rates)
    order.remaining, order.held, order.fee_accrued = saved.remaining, int(saved.held), int(saved.fee_accrued)
    if saved.extras is not None:
        order.extras = _restore_extras(saved.extras)
    state.orders[order.order_id] = order
    if shown.status in LIVE:
        account.open_orders[order.order_id] = order
        order.position.enter(order)
    if terms.client_order_id is not None:
        account.client_ids[terms.client_order_id] = order


def _restore_extras(saved: StoredExtras) -> Extras:
    extras = Extras()
    extras.due_ns, extras.display_quantity, extras.shown = saved.due_ns, saved.display_quantity, saved.shown
    extras.trigger_price, extras.watermark = saved.trigger_price, saved.watermark
    extras.slippage = saved.slippage
    return extras
