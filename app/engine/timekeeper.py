"""Lets time act: the Tick command, and when the next one is wanted.

Nothing but a Tick makes time act, so that replay needs no clock: what is due but has met no Tick has
not happened yet. A Tick does bounded work; what is left stays due, and is wanted at once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from app.domain.commands import Tick
from app.domain.events import OrderCanceled, OrderExpired, TradeExecuted
from app.domain.outcomes import Outcome
from app.engine.recorder import Recorder
from app.engine.state import State

TICK_OPERATIONS_MAX = 5_000
"""Orders ended and prints made by the timers of one Tick; a timer that is begun is finished."""

_OPERATIONS = (OrderCanceled, OrderExpired, TradeExecuted)


class WorkQueue(Protocol):
    """Work that Ticks do slice by slice."""

    @property
    def is_waiting(self) -> bool:
        """Whether a slice would do something now."""

    def run_slice(self) -> None:
        """Do the next slice, or nothing."""


class Timekeeper:
    """Executes Tick: due timers, then one slice of each queue."""

    __slots__ = ("_on_due", "_queues", "_recorder", "_state")

    def __init__(
        self,
        state: State,
        recorder: Recorder,
        on_due: Mapping[int, Callable[[Any], None]],
        queues: Sequence[WorkQueue],
    ) -> None:
        self._state = state
        self._recorder = recorder
        self._on_due = on_due
        """What a due timer does, by its kind; given whose it is. The timer is disarmed before."""
        self._queues = queues
        """In the order in which a Tick serves them."""

    @property
    def next_deadline(self) -> int | None:
        """Return when a Tick is wanted, in UTC nanoseconds: 0 is at once, None is never as things stand."""
        for queue in self._queues:
            if queue.is_waiting:
                return 0
        return self._state.timers.next_due_ns

    def tick(self, command: Tick) -> Outcome:
        """Let due timers act, then do one slice of what is queued."""
        state = self._state
        self._run_timers()
        for queue in self._queues:
            queue.run_slice()
        return Outcome(state.sequence, state.timestamp_ns)

    def _run_timers(self) -> None:
        state, events = self._state, self._recorder.events
        operations = looked_at = 0
        while operations < TICK_OPERATIONS_MAX:
            timer = state.timers.take_due(state.timestamp_ns)
            if timer is None:
                return
            self._on_due[timer.kind](timer.whose)
            operations += sum(isinstance(event, _OPERATIONS) for event in events[looked_at:])
            looked_at = len(events)
