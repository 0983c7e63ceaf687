"""A memory bus that can be down, and can lose what is published."""

from collections.abc import Sequence

from app.bus.memory import MemoryBus
from app.errors import BusUnavailable
from app.protocol.ports import BusEntry


class BreakableBus(MemoryBus):
    """A memory bus that can be down, and can lose what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False
        self.is_losing = False
        self.reads = 0

    async def publish(self, entries: Sequence[BusEntry]) -> None:
        """Publish, unless entries get lost."""
        if not self.is_losing:
            await super().publish(entries)

    async def read(self, after: int, *, limit: int, block_ms: int) -> list[BusEntry]:
        """Read, unless down."""
        self.reads += 1
        if self.is_down:
            raise BusUnavailable("down for the test")
        return await super().read(after, limit=limit, block_ms=block_ms)

    def flush(self) -> None:
        """Forget everything, as FLUSHALL does."""
        self._entries.clear()
        self._highest = 0

    async def close(self) -> None:
        """Keep the entries: another reader may follow."""
