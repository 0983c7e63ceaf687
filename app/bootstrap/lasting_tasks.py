"""Tasks that must last as long as their role: the end of one is the end of all.

Half a replica is worse than none: it looks alive while what it shows stands still. A supervisor starts the role again.
"""

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)


class LastingTasks:
    """Watches tasks that only their cancellation may end."""

    def __init__(self, on_loss: Callable[[], None]) -> None:
        """`on_loss` is called, on the loop, whenever a task has ended by itself; it begins the role's end."""
        self._on_loss = on_loss
        self.is_one_lost = False

    def watch(self, *tasks: asyncio.Task[None]) -> None:
        """Watch tasks, also ones that have ended already."""
        for task in tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        log.critical("lasting_task_ended", task=task.get_name(), exc_info=task.exception())
        self.is_one_lost = True
        self._on_loss()
