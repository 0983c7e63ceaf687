"""How tasks are ended: for certain, in bounded time, whatever the libraries they are in do with a cancellation."""

import asyncio
from collections.abc import Collection
from typing import Any

import structlog

CANCEL_AGAIN_S = 1.0
"""How long a task may take to end, with what it closes on its way, before it is canceled once more."""
CANCELS_MAX = 5

log = structlog.get_logger(__name__)


async def end_all(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait for their end, whatever it is, for CANCELS_MAX times CANCEL_AGAIN_S at most.

    Once is not enough: up to Python 3.11 `asyncio.wait_for` forgets a cancellation that comes together with the result,
    so that one which meets a client library while it connects may be lost, and the task would go on for ever.
    """
    for _ in range(CANCELS_MAX):
        left = [task for task in tasks if not task.done()]
        if not left:
            break
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    for task in tasks:
        if not task.done():
            log.error("task_does_not_end", task=task.get_name())
        elif not task.cancelled():
            # Looked at, or the loop complains; whoever watches the task knows it already.
            task.exception()
