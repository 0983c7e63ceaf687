"""The order commands of one session: begun strictly in the order they came, answered as they complete.

`ports.OrderEntry` takes a command's place in the session's queue before it first waits; here each
call begins before the next message is read. So pipelined commands cannot overtake each other.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.errors import ApiError, LinkError, Unavailable
from app.protocol import schemas

OrderAnswer = (
    schemas.PlacedOrder
    | schemas.CanceledOrder
    | schemas.AmendedOrder
    | schemas.CanceledOrders
    | schemas.PlacedBatch
    | schemas.CancelAfter
)

_log = logging.getLogger(__name__)


def refusal_of(fault: Exception) -> ApiError:
    """Return what a client is told of a fault."""
    if isinstance(fault, ApiError):
        return fault
    if isinstance(fault, LinkError):
        if fault.sent:
            return ApiError("execution_unknown", "The engine was lost; it may have executed this.")
        return ApiError("engine_unavailable", "No engine is leading right now.")
    if isinstance(fault, Unavailable):
        detail = "A dependency does not answer right now."
        return ApiError("service_unavailable", detail, retry_after_ms=fault.retry_after_ms)
    if isinstance(fault, OSError | TimeoutError):
        return ApiError("service_unavailable", "A dependency does not answer right now.")
    _log.error("a client message failed", exc_info=fault)
    return ApiError("internal_error", "Something broke on our side.")


class OrderLane:
    """Runs at most `in_flight_max` commands; the caller waits for room, and reads nothing meanwhile."""

    def __init__(
        self,
        *,
        in_flight_max: int,
        answer: Callable[[str | None, OrderAnswer], None],
        refuse: Callable[[str | None, ApiError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(in_flight_max)
        self._answer = answer
        self._refuse = refuse
        self._running: set[asyncio.Task[None]] = set()

    async def begin(self, message_id: str | None, call: Callable[[], Awaitable[OrderAnswer]]) -> None:
        """Begin a command after all that came before it."""
        await self._room.acquire()
        # Tasks take their first step in the order of their creation, and OrderEntry sends in that step.
        task = self._loop.create_task(self._run(message_id, call))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, message_id: str | None, call: Callable[[], Awaitable[OrderAnswer]]) -> None:
        try:
            answer = await call()
        except Exception as fault:
            # Every fault has an answer; the session goes on.
            self._refuse(message_id, refusal_of(fault))
        else:
            self._answer(message_id, answer)
        finally:
            self._room.release()
