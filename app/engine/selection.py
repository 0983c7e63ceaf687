"""Which orders a cancel of many means, and such a cancel while it waits for its Ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from app.domain.enums import OrderReason, OrderStatus, Side

if TYPE_CHECKING:
    from app.engine.state import Order

_WAITING = (OrderStatus.UNTRIGGERED, OrderStatus.PENDING)


class Selection(NamedTuple):
    """Filters that an open order must all pass; None admits every order."""

    account_id: int | None = None
    symbols: tuple[str, ...] | None = None
    side: Side | None = None
    label: str | None = None
    session_id: str | None = None
    order_list_id: int | None = None
    spares_protective: bool = False
    """Leave alone what waits for a price or for its parent, and what only reduces a position."""
    up_to_id: int | None = None
    """Orders that came later are not meant."""

    def admits(self, order: Order) -> bool:
        """Return whether the order is meant."""
        terms = order.terms
        return (
            (self.account_id is None or terms.account_id == self.account_id)
            and (self.symbols is None or terms.symbol in self.symbols)
            and (self.side is None or terms.side is self.side)
            and (self.label is None or terms.label == self.label)
            and (self.session_id is None or terms.session_id == self.session_id)
            and (self.order_list_id is None or order.state.order_list_id == self.order_list_id)
            and (self.up_to_id is None or order.order_id <= self.up_to_id)
            and not (self.spares_protective and (terms.reduce_only or order.status in _WAITING))
        )


class MassCancel(NamedTuple):
    """A cancel of many that Ticks carry out in slices."""

    reason: OrderReason
    selection: Selection
