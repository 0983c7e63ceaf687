"""Queries of the orders projection: an account's orders, as the engine's own OrderState.

What changes stands in columns, what never does in `terms`; together they give back exactly the state
that the order's last event carried.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, Select, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.commands import PlaceOrder
from app.domain.enums import OrderReason, OrderStatus, Side
from app.domain.events import OrderState
from app.storage.database import reading
from app.storage.tables import IS_OPEN, OPEN_STATUSES, orders

_terms = msgspec.msgpack.Decoder(PlaceOrder)

_SELECT = select(
    orders.c.order_id,
    orders.c.terms,
    orders.c.status,
    orders.c.version,
    orders.c.price,
    orders.c.quantity,
    orders.c.filled_quantity,
    orders.c.notional,
    orders.c.fees,
    orders.c.reason,
    orders.c.created_ns,
    orders.c.updated_ns,
    orders.c.engine_seq,
    orders.c.display_quantity,
    orders.c.trigger_price,
    orders.c.order_list_id,
)
_OWNED = _SELECT.where(orders.c.account_id == bindparam("account_id"))
_BY_ID = _OWNED.where(orders.c.order_id == bindparam("order_id"))
_BY_CLIENT_ID = (
    _OWNED.where(orders.c.client_order_id == bindparam("client_order_id")).order_by(orders.c.order_id.desc()).limit(1)
)
_BY_LIST = _OWNED.where(orders.c.order_list_id == bindparam("order_list_id")).order_by(orders.c.order_id)
_OPEN = _OWNED.where(IS_OPEN).order_by(orders.c.order_id)


class OrderFilters(NamedTuple):
    """What a list of orders is narrowed to; None leaves it wide. `since_ns` is inclusive, `until_ns` is not."""

    symbol: str | None = None
    status: OrderStatus | None = None
    side: Side | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    label: str | None = None
    symbols: Collection[str] | None = None


async def get_order(source: AsyncEngine | AsyncConnection, account_id: int, order_id: int) -> OrderState | None:
    """Return an account's order, or None."""
    return await _first(source, _BY_ID, {"account_id": account_id, "order_id": order_id})


async def get_order_by_client_id(
    source: AsyncEngine | AsyncConnection, account_id: int, client_order_id: str
) -> OrderState | None:
    """Return an account's newest order with this client order id, or None."""
    return await _first(source, _BY_CLIENT_ID, {"account_id": account_id, "client_order_id": client_order_id})


async def list_orders(
    source: AsyncEngine | AsyncConnection,
    account_id: int,
    filters: OrderFilters = OrderFilters(),  # noqa: B008  # immutable
    *,
    before: int | None = None,
    limit: int,
) -> list[OrderState]:
    """Return an account's orders with an order id below `before`, newest first."""
    query = _SELECT.where(orders.c.account_id == account_id)
    if before is not None:
        query = query.where(orders.c.order_id < before)
    for column, value in (
        (orders.c.symbol, filters.symbol),
        (orders.c.side, filters.side),
        (orders.c.label, filters.label),
    ):
        if value is not None:
            query = query.where(column == value)
    if filters.symbols is not None:
        query = query.where(orders.c.symbol.in_(filters.symbols))
    if filters.status is not None:
        query = query.where(orders.c.status == filters.status)
        if filters.status in OPEN_STATUSES:
            # Spelled out, so that the planner sees that the index of open orders will do.
            query = query.where(IS_OPEN)
    if filters.since_ns is not None:
        query = query.where(orders.c.created_ns >= filters.since_ns)
    if filters.until_ns is not None:
        query = query.where(orders.c.created_ns < filters.until_ns)
    return await _all(source, query.order_by(orders.c.order_id.desc()).limit(limit), {})


async def list_open_orders(source: AsyncEngine | AsyncConnection, account_id: int) -> list[OrderState]:
    """Return all open orders of an account, oldest first."""
    return await _all(source, _OPEN, {"account_id": account_id})


async def list_orders_of_list(
    source: AsyncEngine | AsyncConnection, account_id: int, order_list_id: int
) -> list[OrderState]:
    """Return the orders of an account's order list, in the order of the list; none if there is no such list."""
    return await _all(source, _BY_LIST, {"account_id": account_id, "order_list_id": order_list_id})


async def _first(
    source: AsyncEngine | AsyncConnection, query: Select[*tuple[Any, ...]], values: Mapping[str, object]
) -> OrderState | None:
    async with reading(source) as connection:
        row = (await connection.execute(query, values)).first()
    return None if row is None else _state(row)


async def _all(
    source: AsyncEngine | AsyncConnection, query: Select[*tuple[Any, ...]], values: Mapping[str, object]
) -> list[OrderState]:
    async with reading(source) as connection:
        return [_state(row) for row in await connection.execute(query, values)]


def _state(row: Row[*tuple[Any, ...]]) -> OrderState:
    return OrderState(
        order_id=row.order_id,
        terms=_terms.decode(row.terms),
        status=OrderStatus(row.status),
        version=row.version,
        price=row.price,
        quantity=row.quantity,
        filled_quantity=row.filled_quantity,
        notional=row.notional,
        fees=row.fees,
        reason=None if row.reason is None else OrderReason(row.reason),
        created_ns=row.created_ns,
        updated_ns=row.updated_ns,
        engine_seq=row.engine_seq,
        display_quantity=row.display_quantity,
        trigger_price=row.trigger_price,
        order_list_id=row.order_list_id,
    )
