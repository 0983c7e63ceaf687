"""Queries of an account's private events: where a stream starts, and what comes after."""

from typing import NamedTuple

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.events import OrderState, PrivateEvent
from app.storage.balances import BalanceRow, list_balances
from app.storage.cursors import cursor
from app.storage.database import reading, reading_one_moment
from app.storage.orders import list_open_orders
from app.storage.positions import PositionRow, list_positions
from app.storage.tables import account_events, accounts

_event: msgspec.msgpack.Decoder[PrivateEvent] = msgspec.msgpack.Decoder(PrivateEvent)

_AFTER = (
    select(account_events.c.event, account_events.c.timestamp_ns)
    .where(account_events.c.account_id == bindparam("account_id"), account_events.c.account_seq > bindparam("after"))
    .order_by(account_events.c.account_seq)
    .limit(bindparam("count"))
)
_ACCOUNT_SEQ = select(accounts.c.account_seq).where(accounts.c.account_id == bindparam("account_id"))


class AccountSnapshot(NamedTuple):
    """An account at one moment: the effect of its events up to `account_seq` and of the shard up to `cursor`."""

    cursor: int
    account_seq: int
    orders: list[OrderState]
    """Open ones, oldest first."""
    balances: list[BalanceRow]
    positions: list[PositionRow]


class AccountEvent(NamedTuple):
    """One private event and the time of its batch; the event itself carries account_seq and engine_seq."""

    event: PrivateEvent
    timestamp_ns: int


async def account_snapshot(engine: AsyncEngine, shard: int, account_id: int) -> AccountSnapshot:
    """Return an account's open orders, balances and positions as of one projected batch."""
    async with reading_one_moment(engine) as connection:
        account_seq = await connection.scalar(_ACCOUNT_SEQ, {"account_id": account_id})
        return AccountSnapshot(
            cursor=await cursor(connection, shard),
            account_seq=account_seq or 0,
            orders=await list_open_orders(connection, account_id),
            balances=await list_balances(connection, account_id),
            positions=await list_positions(connection, account_id),
        )


async def events_after(
    source: AsyncEngine | AsyncConnection, account_id: int, account_seq: int, limit: int
) -> list[AccountEvent]:
    """Return an account's events after `account_seq`, oldest first; a gap before the first means older are gone."""
    async with reading(source) as connection:
        rows = await connection.execute(_AFTER, {"account_id": account_id, "after": account_seq, "count": limit})
        return [AccountEvent(_event.decode(event), at_ns) for event, at_ns in rows]
