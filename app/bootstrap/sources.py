"""What a replica reads from storage, as the plain callables that its streaming stage asks for."""

import time

from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import ApiError, JournalUnavailable
from app.protocol.holdings import PositionFigures
from app.protocol.records import BatchRecord, decode_batch
from app.storage import account_events, instruments, trades
from app.storage.cursors import cursor
from app.storage.database import reading_one_moment
from app.storage.epochs import newest_epoch
from app.storage.journal import Journal
from app.streaming.channel_state import trade_print
from app.streaming.sources import AccountEvent, AccountSeed, CatalogSeed, MarketSeed, Sources
from app.streaming.ticker_state import MINUTE_NS, WINDOW_MINUTES, MinuteBar

TRADES_SEED = 50


def storage_sources(database: AsyncEngine, journal: Journal, shard: int) -> Sources:
    """Return the sources of one replica over its database pool and its journal connection."""

    async def journal_head() -> int:
        try:
            return (await journal.head()).head_seq
        except JournalUnavailable as error:
            raise ApiError("service_unavailable", "the journal does not answer", retry_after_ms=1000) from error

    async def journal_rows(after: int, limit: int) -> list[BatchRecord]:
        try:
            return [decode_batch(row.body) for row in await journal.rows(after, limit)]
        except JournalUnavailable as error:
            raise ApiError("service_unavailable", "the journal does not answer", retry_after_ms=1000) from error

    async def catalog_seed() -> CatalogSeed:
        async with reading_one_moment(database) as connection:
            position = await cursor(connection, shard)
            listed = await instruments.list_instruments(connection)
            scales = {row.asset: row.scale for row in await instruments.list_assets(connection)}
            epoch = await newest_epoch(connection, shard)
        return CatalogSeed(position, listed, scales, epoch)

    async def market_seed(symbol: str) -> MarketSeed:
        since_minute = time.time_ns() // MINUTE_NS - WINDOW_MINUTES + 1
        async with reading_one_moment(database) as connection:
            position = await cursor(connection, shard)
            newest = await trades.list_trades(connection, symbol, limit=TRADES_SEED)
            minutes = await trades.list_minutes(connection, since_minute * MINUTE_NS, symbol=symbol)
        bars = [
            MinuteBar(bar.start_ns // MINUTE_NS, bar.open, bar.high, bar.low, bar.quantity, bar.quote_quantity)
            for bar in minutes
        ]
        return MarketSeed(position, [trade_print(row.trade, row.timestamp_ns) for row in reversed(newest)], bars)

    async def account_snapshot(account_id: int) -> AccountSeed:
        found = await account_events.account_snapshot(database, shard, account_id)
        balances = [(row.asset, row.available, row.held) for row in found.balances]
        positions = [PositionFigures(*row) for row in found.positions]
        return AccountSeed(found.cursor, found.account_seq, found.orders, balances, positions)

    async def events_after(account_id: int, account_seq: int, limit: int) -> list[AccountEvent]:
        found = await account_events.events_after(database, account_id, account_seq, limit)
        return [AccountEvent(*row) for row in found]

    return Sources(
        journal_head=journal_head,
        journal_rows=journal_rows,
        catalog_seed=catalog_seed,
        market_seed=market_seed,
        account_snapshot=account_snapshot,
        events_after=events_after,
    )
