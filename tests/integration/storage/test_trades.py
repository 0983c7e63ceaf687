"""Trade queries: by id in both directions, and sums per minute against a plain reckoning."""

from itertools import groupby

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.enums import Side
from app.domain.events import TradeExecuted
from app.projections.core import CoreProjector
from app.storage.database import create_database_engine
from app.storage.trades import MINUTE_NS, MinuteTrades, list_minutes, list_trades, list_trades_after
from tests.journal_rows import START_NS, batch, chain
from tests.market_stream import SYMBOLS, MarketStream

BTC = SYMBOLS[0]


async def test_trades_page_backwards_from_the_newest(engine: AsyncEngine, projected: MarketStream) -> None:
    seen: list[TradeExecuted] = []
    before: int | None = None
    while page := await list_trades(engine, BTC, before=before, limit=4):
        seen += [row.trade for row in page]
        before = page[-1].trade.trade_id

    assert seen == projected.trades[BTC][::-1]
    assert len(seen) > 8


async def test_trades_after_an_id_come_oldest_first(engine: AsyncEngine, projected: MarketStream) -> None:
    rows = await list_trades_after(engine, BTC, 3, limit=2)

    assert [row.trade for row in rows] == projected.trades[BTC][3:5]
    assert await list_trades_after(engine, BTC, len(projected.trades[BTC]), limit=2) == []
    assert await list_trades(engine, "NOPE", limit=2) == []


def trade(symbol: str, trade_id: int, price: int, quantity: int) -> TradeExecuted:
    return TradeExecuted(symbol, trade_id, trade_id, price, quantity, Side.BUY, 1, 2, 1001, 1002)


async def test_minutes_sum_what_happened_in_them(database_url: str) -> None:
    engine = create_database_engine(database_url, pool_size=1)
    minute = START_NS // MINUTE_NS
    # (symbol, id, price, quantity, minute): the extremes lie between first and last.
    made = [
        ("A", 1, 50, 3, 0),
        ("A", 2, 90, 1, 0),
        ("A", 3, 10, 2, 0),
        ("A", 4, 60, 4, 0),
        ("A", 5, 70, 2**40, 2),
        ("B", 1, 5, 1, 0),
        ("B", 2, 2**40, 2**22, 2),
        ("B", 3, 2**40, 2**22, 2),
    ]
    projector = CoreProjector(database_url, 0)
    by_symbol = {symbol: [trade(*row[:4]) for row in made if row[0] == symbol] for symbol in ("A", "B")}
    await projector.apply(chain([batch(1, trades=by_symbol)]))
    connection = await asyncpg.connect(database_url)
    for symbol, trade_id, _, _, offset in made:
        await connection.execute(
            "UPDATE trades SET timestamp_ns = $1 WHERE symbol = $2 AND trade_id = $3",
            (minute + offset) * MINUTE_NS + trade_id,
            symbol,
            trade_id,
        )
    await connection.close()

    expected = []
    for (symbol, offset), group in groupby(made, key=lambda row: (row[0], row[4])):
        rows = list(group)
        prices = [row[2] for row in rows]
        expected.append(
            MinuteTrades(
                symbol=symbol,
                start_ns=(minute + offset) * MINUTE_NS,
                open=prices[0],
                high=max(prices),
                low=min(prices),
                close=prices[-1],
                quantity=sum(row[3] for row in rows),
                quote_quantity=sum(row[2] * row[3] for row in rows),
                trades=len(rows),
            )
        )

    assert await list_minutes(engine, 0) == expected
    assert expected[-1].quote_quantity == 2**63, "sums pass 64 bits"
    assert await list_minutes(engine, 0, symbol="A") == [row for row in expected if row.symbol == "A"]
    since = await list_minutes(engine, (minute + 1) * MINUTE_NS)
    assert since == [row for row in expected if row.start_ns > minute * MINUTE_NS]

    await projector.close()
    await engine.dispose()
