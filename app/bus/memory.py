"""The bus inside one process: the twin of `redis.RedisBus` for tests and for engine and replica in one loop.

It keeps Redis's rules: ids only rise, an id at or below the highest ever given counts as
published, and trimming does not lower that highest id.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from app.protocol.ports import BusEntry


def _last_seq(entry: BusEntry) -> int:
    return entry.last_seq


class MemoryBus:
    """Implements `ports.Bus`."""

    def __init__(self) -> None:
        self._entries: list[BusEntry] = []
        self._highest = 0
        self._readers: list[asyncio.Future[None]] = []

    async def publish(self, entries: Sequence[BusEntry]) -> None:
        """Append entries under their own ids; one that is there already counts as published."""
        for entry in entries:
            if entry.last_seq > self._highest:
                self._entries.append(entry)
                self._highest = entry.last_seq
        waiting, self._readers = self._readers, []
        for reader in waiting:
            if not reader.done():
                reader.set_result(None)

    async def last_seq(self) -> int:
        """Return the highest sequence ever published, 0 if none."""
        return self._highest

    async def read(self, after: int, *, limit: int, block_ms: int) -> list[BusEntry]:
        """Return entries after a sequence, oldest first, waiting up to block_ms for the first."""
        found = self._after(after, limit)
        if found or block_ms == 0:
            return found
        reader = asyncio.get_running_loop().create_future()
        self._readers.append(reader)
        await asyncio.wait([reader], timeout=block_ms / 1000)
        if not reader.done():
            self._readers.remove(reader)
        return self._after(after, limit)

    async def trim(self, min_seq: int) -> None:
        """Forget entries below a sequence."""
        del self._entries[: bisect_left(self._entries, min_seq, key=_last_seq)]

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _after(self, after: int, limit: int) -> list[BusEntry]:
        start = bisect_right(self._entries, after, key=_last_seq)
        return self._entries[start : start + limit]
