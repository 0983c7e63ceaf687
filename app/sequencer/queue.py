"""The leader's queue: bounded by commands and by work, with places that only cancels may take.

Whatever does not fit is refused at once, so that what was taken is answered soon, however much is offered.
"""

from collections import deque
from typing import Final

import msgspec

from app.domain.commands import Command
from app.link.pending import is_cancel
from app.link.server import Connection
from app.protocol.records import BATCH_COMMANDS_MAX

QUEUE_COMMANDS_MAX: Final = 10_000
CANCEL_RESERVE: Final = QUEUE_COMMANDS_MAX // 10
"""Places in the queue that only cancels may take, so that overload never locks risk in."""
QUEUE_WORK_MAX_S: Final = 0.05
"""Work in the queue, at the pace of engine and commits, beyond which only cancels are taken."""
QUEUE_COMMANDS_MIN: Final = 1_024
"""Places that expensive commands do not take away: four full batches."""
NEWEST_WEIGHT: Final = 0.05
"""Of the newest slice or commit in the mean of all."""


class Queued(msgspec.Struct, frozen=True, gc=False):
    """A command on its way in, made at a quarter of a named tuple's cost; times are seconds of the monotonic clock."""

    command: Command
    data: bytes
    received: float
    deadline: float
    request_id: int
    connection: Connection | None


class CommandQueue(deque[Queued]):
    """First in, first out; who appends has asked for room, except for commands of the leader's own."""

    def __init__(self) -> None:
        super().__init__()
        self.orders_max = QUEUE_COMMANDS_MAX - CANCEL_RESERVE
        """Commands beyond which only cancels are taken, as fast as the engine is now."""
        self._command_s = 0.0
        self._commit_s = 0.0

    def has_room(self, command: Command) -> bool:
        """Return whether the command may be appended."""
        waiting = len(self)
        return waiting < self.orders_max or (waiting < QUEUE_COMMANDS_MAX and is_cancel(command))

    def worked(self, commands: int, seconds: float) -> None:
        """Learn from a slice how long a command takes."""
        self._command_s = _mean(self._command_s, seconds / commands)
        # While a batch commits the next one fills up: the slower of the two is how fast the queue empties.
        service_s = max(self._command_s, self._commit_s / BATCH_COMMANDS_MAX)
        places = int(QUEUE_WORK_MAX_S / service_s) if service_s else QUEUE_COMMANDS_MAX
        self.orders_max = min(max(places, QUEUE_COMMANDS_MIN), QUEUE_COMMANDS_MAX - CANCEL_RESERVE)

    def committed(self, seconds: float) -> None:
        """Learn how long an append takes."""
        self._commit_s = _mean(self._commit_s, seconds)


def _mean(known: float, newest: float) -> float:
    return known + (newest - known) * NEWEST_WEIGHT if known else newest
