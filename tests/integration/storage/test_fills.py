"""Fill queries: pages and filters of one account."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.events import Fill
from app.storage.fills import FillFilters, list_fills
from tests.market_stream import ACCOUNTS, MarketStream

ALICE = ACCOUNTS[0]


async def test_pages_cover_everything_once_newest_first(engine: AsyncEngine, projected: MarketStream) -> None:
    seen: list[Fill] = []
    before: int | None = None
    while page := await list_fills(engine, ALICE, before=before, limit=5):
        seen += [row.fill for row in page]
        before = page[-1].fill.account_seq

    assert seen == [fill for fill, _, _ in projected.fills[ALICE]][::-1]
    assert len(seen) > 10


async def test_a_fill_carries_what_its_order_adds(engine: AsyncEngine, projected: MarketStream) -> None:
    for row in await list_fills(engine, ALICE, limit=1000):
        terms = projected.orders[row.order_id].terms
        assert (row.client_order_id, row.symbol, row.side) == (terms.client_order_id, terms.symbol, terms.side)


async def test_every_filter_narrows_the_list(engine: AsyncEngine, projected: MarketStream) -> None:
    everything = await list_fills(engine, ALICE, limit=1000)
    middle = everything[len(everything) // 2]
    narrowed = {
        FillFilters(symbol=middle.symbol): [row for row in everything if row.symbol == middle.symbol],
        FillFilters(order_id=middle.order_id): [row for row in everything if row.order_id == middle.order_id],
        FillFilters(since_ns=middle.timestamp_ns): [r for r in everything if r.timestamp_ns >= middle.timestamp_ns],
        FillFilters(until_ns=middle.timestamp_ns): [r for r in everything if r.timestamp_ns < middle.timestamp_ns],
    }
    for filters, expected in narrowed.items():
        assert await list_fills(engine, ALICE, filters, limit=1000) == expected
        assert 0 < len(expected) < len(everything)
