"""What waits to be written to one socket, within bounds.

Facts (replies, private events, trades) are never dropped: past their bound the session must end.
State (books, tickers, heartbeats) can be made anew: past its bound all of it is dropped, and the
session starts those channels over once the rest has been read. Sizes count characters; the
frames are ASCII and shared between sessions. One writer task takes, everybody else puts.
"""

import asyncio
from collections import deque
from collections.abc import Callable

STATE_BYTES_MAX = 1 << 20
FACT_BYTES_MAX = 16 << 20
"""Above what one batch can tell one account: 4 MB of records, as JSON on two channels."""
FRAMES_MAX = 50_000
LOW_WATER_BYTES = 64 << 10
"""Below this much backlog the reader keeps up, and first frames may be queued."""


class Outbox:
    """Bounded queue of rendered frames. The callbacks run inside `put_state` and `put_fact`."""

    __slots__ = ("_fact_bytes", "_fact_bytes_max", "_frames", "_frames_max", "_on_lag", "_on_overflow",
                 "_room_waiter", "_state_bytes", "_state_bytes_max", "_waiter")  # fmt: skip

    def __init__(
        self,
        *,
        on_lag: Callable[[], None],
        on_overflow: Callable[[], None],
        state_bytes_max: int = STATE_BYTES_MAX,
        fact_bytes_max: int = FACT_BYTES_MAX,
        frames_max: int = FRAMES_MAX,
    ) -> None:
        self._frames: deque[tuple[str, bool]] = deque()
        self._state_bytes = 0
        self._fact_bytes = 0
        self._state_bytes_max = state_bytes_max
        self._fact_bytes_max = fact_bytes_max
        self._frames_max = frames_max
        self._on_lag = on_lag
        self._on_overflow = on_overflow
        self._waiter: asyncio.Future[None] | None = None
        self._room_waiter: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def has_room(self) -> bool:
        """Say whether the backlog is low enough for first frames, however large they are."""
        return self._state_bytes + self._fact_bytes < LOW_WATER_BYTES

    def put_state(self, text: str) -> bool:
        """Queue a frame that may be dropped; False if the whole state backlog was dropped instead."""
        # The bound looks at what waits already: one frame larger than the bound must be able to pass.
        if self._state_bytes > self._state_bytes_max or len(self._frames) >= self._frames_max:
            self._drop_state()
            self._on_lag()
            return False
        self._state_bytes += len(text)
        self._put((text, True))
        return True

    def put_fact(self, text: str) -> None:
        """Queue a frame that must not be lost."""
        if len(self._frames) >= self._frames_max and self._state_bytes:
            self._drop_state()
            self._on_lag()
        if self._fact_bytes > self._fact_bytes_max or len(self._frames) >= self._frames_max:
            self._on_overflow()
            return
        self._fact_bytes += len(text)
        self._put((text, False))

    def take(self) -> str | None:
        """Return the next frame, or None if nothing waits."""
        if not self._frames:
            return None
        text, is_state = self._frames.popleft()
        if is_state:
            self._state_bytes -= len(text)
        else:
            self._fact_bytes -= len(text)
        if self._room_waiter is not None and self.has_room:
            _release(self._room_waiter)
        return text

    def clear(self) -> None:
        """Forget what waits: the socket is past saving."""
        self._frames.clear()
        self._state_bytes = self._fact_bytes = 0

    def wake(self) -> None:
        """Let the writer look again."""
        _release(self._waiter)

    async def wait(self) -> None:
        """Return when something waits or `wake` was called; one waiter at a time."""
        if self._frames:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def room(self) -> None:
        """Return when the backlog is low; one waiter at a time."""
        if self.has_room:
            return
        self._room_waiter = asyncio.get_running_loop().create_future()
        try:
            await self._room_waiter
        finally:
            self._room_waiter = None

    def _put(self, frame: tuple[str, bool]) -> None:
        self._frames.append(frame)
        _release(self._waiter)

    def _drop_state(self) -> None:
        self._frames = deque(frame for frame in self._frames if not frame[1])
        self._state_bytes = 0


def _release(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
