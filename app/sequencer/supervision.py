"""What works beside the leader's loop, and why it must live as long: publisher, leases, watchers, keepers.

A leader that lost one of them would go on trading and look well, while streams stand still or sessions outlive their
sockets. It ends instead, and the next one has them all.
"""

import asyncio
from collections.abc import Collection
from typing import Any

import structlog

from app.sequencer.sequencer import Sequencer

log = structlog.get_logger(__name__)


class TaskEnded(Exception):
    """A task that works beside the leader ended by itself: the process must end, and another lead."""


async def run_beside(sequencer: Sequencer, tasks: Collection["asyncio.Task[Any]"], stop: asyncio.Event) -> None:
    """Run the leader's loop until `stop` is set, or until one of the tasks ends.

    Raises TaskEnded naming that task, once what was taken is committed and answered, and whatever the loop raises.
    """
    stopping = asyncio.create_task(stop.wait())
    for task in (stopping, *tasks):
        task.add_done_callback(lambda _: sequencer.stop())
    try:
        await sequencer.run()
    finally:
        stopping.cancel()
    for task in tasks:
        if task.done():
            fault = None if task.cancelled() else task.exception()
            log.error("task_ended", task=task.get_name(), exc_info=fault)
            raise TaskEnded(f"{task.get_name()} ended by itself: {fault!r}") from fault
