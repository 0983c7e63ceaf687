"""The application over a projected market in a real database; only engine and feed are faked."""

from collections.abc import AsyncIterator

import pytest_asyncio

from app.domain.instrument import Instrument
from app.projections.core import CoreProjector
from app.storage.database import create_database_engine
from app.storage.journal import JournalRow
from tests.journal_rows import chain
from tests.market_stream import SYMBOLS, MarketStream, instrument
from tests.unit.api.stack import Stack

BATCHES = 60


class StreamInstruments:
    """The instruments of the stream."""

    def get(self, symbol: str) -> Instrument | None:
        return instrument(symbol) if symbol in SYMBOLS else None

    def all(self) -> list[Instrument]:
        return [instrument(symbol) for symbol in SYMBOLS]

    def asset_scale(self, asset: str) -> int | None:
        return 8


class Market:
    """A stack, the stream its tables were made from, and rows that are not projected yet."""

    def __init__(self, stack: Stack, stream: MarketStream, projector: CoreProjector, later: list[JournalRow]) -> None:
        self.stack = stack
        self.stream = stream
        self.projected_seq = later[0].first_seq - 1
        self._projector = projector
        self._later = later

    async def project_the_rest(self) -> None:
        await self._projector.apply(self._later)


@pytest_asyncio.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    """A market of which the last batch is not projected yet."""
    engine = create_database_engine(database_url, pool_size=3)
    projector = CoreProjector(database_url, 0)
    stream = MarketStream(seed=7)
    rows = chain([stream.genesis(), *(stream.batch(5) for _ in range(BATCHES))])
    await projector.apply(rows[:-1])
    stack = Stack(engine, StreamInstruments())
    stack.market.applied = stream.sequence
    yield Market(stack, stream, projector, rows[-1:])
    await stack.close()
    await projector.close()
