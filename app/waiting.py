"""Who waits for a sequence to be applied: one future each, so that a long wait costs nothing meanwhile. No I/O."""

import asyncio
import itertools

from sortedcontainers import SortedDict


class SequenceWaits:
    """The waits of one event loop for one position that grows. Whoever moves the position calls `release`."""

    def __init__(self) -> None:
        self._waits: SortedDict[tuple[int, int], asyncio.Future[None]] = SortedDict()
        """By sequence, then by arrival."""
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        return len(self._waits)

    async def reached(self, sequence: int, timeout_s: float) -> bool:
        """Wait until a sequence is released; returns False after the timeout. Raises what `fail` was given."""
        key = (sequence, next(self._arrivals))
        self._waits[key] = wait = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await wait
        except TimeoutError:
            return False
        finally:
            self._waits.pop(key, None)
        return True

    def release(self, applied: int) -> None:
        """Let everybody go on who waits for `applied` or less."""
        while self._waits and self._waits.peekitem(0)[0][0] <= applied:
            wait = self._waits.popitem(0)[1]
            if not wait.done():
                wait.set_result(None)

    def fail(self, fault: Exception) -> None:
        """Tell everybody that the position cannot be known."""
        waits = list(self._waits.values())
        self._waits.clear()
        for wait in waits:
            if not wait.done():
                wait.set_exception(fault)
