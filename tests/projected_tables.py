"""Compares the core tables, through the read models, with what a stream of events must have led to."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import OrderState
from app.storage.account_events import account_snapshot, events_after
from app.storage.balances import list_balances
from app.storage.cursors import cursor
from app.storage.fills import list_fills
from app.storage.orders import list_orders
from app.storage.positions import list_positions
from app.storage.trades import list_trades_after
from tests.market_stream import ACCOUNTS, SYMBOLS, MarketStream

ALL = 1_000_000


async def assert_projected(engine: AsyncEngine, stream: MarketStream, *, shard: int = 0) -> None:
    """Assert that every table holds exactly the stream's outcome."""
    assert await cursor(engine, shard) == stream.sequence
    for symbol in SYMBOLS:
        assert [row.trade for row in await list_trades_after(engine, symbol, 0, limit=ALL)] == stream.trades[symbol]
    for account_id in ACCOUNTS:
        await _assert_account(engine, stream, account_id, shard)


async def _assert_account(engine: AsyncEngine, stream: MarketStream, account_id: int, shard: int) -> None:
    def owned(order: OrderState) -> bool:
        return order.terms.account_id == account_id

    orders = await list_orders(engine, account_id, limit=ALL)
    assert orders[::-1] == [order for order in stream.orders.values() if owned(order)]
    fills = await list_fills(engine, account_id, limit=ALL)
    assert [(row.fill, row.order_id, row.timestamp_ns) for row in fills[::-1]] == stream.fills[account_id]
    balances = {row.asset: (row.available, row.held) for row in await list_balances(engine, account_id)}
    assert balances == stream.balances[account_id]
    positions = {row.symbol: tuple(row[1:]) for row in await list_positions(engine, account_id)}
    assert positions == stream.positions[account_id]
    assert [row.event for row in await events_after(engine, account_id, 0, ALL)] == stream.events[account_id]
    snapshot = await account_snapshot(engine, shard, account_id)
    assert snapshot.account_seq == len(stream.events[account_id])
    assert snapshot.orders == stream.open_orders(account_id)
    assert {row.symbol: tuple(row[1:]) for row in snapshot.positions} == positions
