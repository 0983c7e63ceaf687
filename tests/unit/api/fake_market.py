"""A replica's market data at a sequence moved by hand."""

from typing import Any

from app.domain.enums import InstrumentStatus
from app.errors import ApiError
from app.protocol import schemas
from app.waiting import SequenceWaits


class FakeMarket:
    """One book and one ticker, at a sequence moved by hand."""

    def __init__(self) -> None:
        self.patience_s = 2.0
        self.looks = 0
        """How often somebody asked how far it is."""
        self.book_seq = 5
        self._applied = 90
        self._waits = SequenceWaits()

    @property
    def applied(self) -> int:
        return self._applied

    @applied.setter
    def applied(self, sequence: int) -> None:
        self._applied = sequence
        self._waits.release(sequence)

    async def book_snapshot(self, symbol: str, *, depth: int | None, min_seq: int | None) -> schemas.BookSnapshot:
        bids = [("100", "1"), ("99", "2"), ("98", "3")]
        return schemas.BookSnapshot(
            symbol=symbol,
            epoch=1,
            seq=self.book_seq,
            engine_seq=self.applied,
            as_of_seq=self.applied,
            ts="2026-01-01T00:00:00.000000Z",
            bids=bids if depth is None else bids[:depth],
            asks=[],
        )

    async def ticker(self, symbol: str) -> schemas.Ticker:
        empty = dict.fromkeys(name for name in schemas.Ticker.__struct_fields__ if name not in ("symbol", "seq", "ts"))
        members: dict[str, Any] = empty | {"status": InstrumentStatus.OPEN, "volume_24h": "0", "quote_volume_24h": "0"}
        return schemas.Ticker(symbol=symbol, seq=self.book_seq, ts="2026-01-01T00:00:00.000000Z", **members)

    def applied_seq(self) -> int:
        self.looks += 1
        return self.applied

    async def wait_applied(self, seq: int) -> None:
        if seq > self.applied and not await self._waits.reached(seq, self.patience_s):
            raise ApiError("not_caught_up", "late", limit=str(seq), actual=str(self.applied), retry_after_ms=250)
