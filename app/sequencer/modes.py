"""What is wrong around the leader, and what it therefore refuses: one object that everybody reports to.

The loop reports its journal operations, watchers report disk, standbys and bus; `evaluate` makes
findings of it, for the replicas and for admission. Cancels are refused only while nothing commits.
No I/O; times are seconds of the monotonic clock.
"""

import time
from collections.abc import Callable

from app.domain.commands import AmendOrder, Command, PlaceBatch, PlaceList, PlaceOrder
from app.protocol.modes import RANK, Finding, Mode, Part
from app.sequencer.throttle import THROTTLED_ORDERS_PER_S, OrderThrottle

COMMIT_AGE_MAX_S = 1.0
"""A journal operation that takes longer stops new commands until it is settled."""
SLOW_S = 0.25
"""A journal operation that took longer is slow..."""
SLOW_SHOWN_S = 5.0
"""...and is shown for so long after it."""
OUTAGE_S = 5.0
"""A silence of order entry that was longer is an outage: what comes after it begins with cancels only."""
REOPEN_S = 10.0
DISK_CANCEL_ONLY = 0.10
"""Free share of the database's volume below which only cancels are taken."""
DISK_LOW_RATIO = 2.0
"""The volume is low below so many times that share..."""
DISK_REOPEN_RATIO = 1.2
"""...and takes orders again above so many times of it."""
PROJECTION_LAG_MAX_S = 60.0
"""Lag of the core projection beyond which new orders are throttled..."""
PROJECTION_CAUGHT_UP_RATIO = 0.5
"""...until it is below so many times that."""

_OPENING = PlaceOrder | AmendOrder | PlaceBatch | PlaceList
"""Commands that may add to what an account has in the market."""


class LeaderModes:
    """Judges the leader's surroundings."""

    def __init__(
        self,
        *,
        standbys_wanted: int = 0,
        disk_cancel_only: float = DISK_CANCEL_ONLY,
        reopen_s: float = REOPEN_S,
        projection_lag_max_s: float = PROJECTION_LAG_MAX_S,
        throttled_orders_per_s: int = THROTTLED_ORDERS_PER_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.findings: tuple[Finding, ...] = ()
        """What was wrong at the last `evaluate`."""
        self.cancel_only: str | None = None
        """Why orders are refused, in words; None while they are taken."""
        self.throttled: str | None = None
        """Why new orders are throttled, in words; None while they are not."""
        self.disk_free: float | None = None
        """Free share of the fullest volume, 0 to 1; None while it cannot be measured."""
        self.standbys: int | None = None
        """Engines that follow and could lead; None while nobody can tell."""
        self.projection_lag_s: float | None = None
        """Age of the oldest row that the core projection has not applied; None while nobody can tell."""
        self.bus_fault: str | None = None
        """Why nothing is published; None while the bus takes entries."""
        self._standbys_wanted = standbys_wanted
        self._disk_cancel_only = disk_cancel_only
        self._reopen_s = reopen_s
        self._projection_lag_max_s = projection_lag_max_s
        self._throttle = OrderThrottle(throttled_orders_per_s, clock_s)
        self._clock_s = clock_s
        self.asked_s: float | None = None
        """When the journal was asked for what it has not answered yet; None while nothing is asked."""
        self._slow_s = float("-inf")
        self._reopens_s = float("-inf")
        self._disk_closed = self._projection_late = False

    def begin_commit(self) -> None:
        """The journal was asked for something."""
        self.asked_s = self._clock_s()

    def end_commit(self) -> None:
        """The journal has answered."""
        if self.asked_s is None:
            return
        now_s = self._clock_s()
        took_s, self.asked_s = now_s - self.asked_s, None
        if took_s > SLOW_S:
            self._slow_s = now_s
            self.after_silence(took_s)

    def after_silence(self, seconds: float) -> None:
        """Order entry is back after so long; beyond OUTAGE_S cancels come first."""
        if seconds > OUTAGE_S and self._reopen_s > 0:
            self._reopens_s = self._clock_s() + self._reopen_s
        self.evaluate()

    def commits_at(self, now_s: float) -> bool:
        """Return whether the journal answers in time, as far as is known at a time."""
        return self.asked_s is None or now_s - self.asked_s <= COMMIT_AGE_MAX_S

    def refuses(self, command: Command) -> bool:
        """Return whether the command must wait for better times."""
        return self.cancel_only is not None and isinstance(command, _OPENING)

    def throttles(self, command: Command) -> bool:
        """Return whether the command is one order too many for now; what is not counts as taken."""
        return self.throttled is not None and isinstance(command, _OPENING) and not self._throttle.takes(command)

    def evaluate(self) -> bool:
        """Judge anew; returns whether the findings changed."""
        findings = tuple(
            finding
            for finding in (
                self._database(),
                self._disk(),
                self._reopening(),
                self._projection(),
                self._standby(),
                self._bus(),
            )
            if finding is not None
        )
        self.throttled = next((finding.text for finding in findings if finding.part is Part.PROJECTION), None)
        closing = [finding.text for finding in findings if finding.mode is Mode.CANCEL_ONLY]
        self.cancel_only = closing[0] if closing else None
        changed, self.findings = findings != self.findings, findings
        return changed

    @property
    def mode(self) -> Mode:
        """The worst mode of the findings."""
        return max((finding.mode for finding in self.findings), key=RANK.__getitem__, default=Mode.NORMAL)

    def _database(self) -> Finding | None:
        if not self.commits_at(self._clock_s()):
            return Finding(Part.DATABASE, Mode.READ_ONLY, "PostgreSQL does not commit")
        if self._clock_s() - self._slow_s < SLOW_SHOWN_S:
            return Finding(Part.DATABASE, Mode.DEGRADED, "PostgreSQL commits slowly")
        return None

    def _disk(self) -> Finding | None:
        free, bound = self.disk_free, self._disk_cancel_only
        # What closed it stays true until it is measured again.
        if free is not None:
            self._disk_closed = free < bound * (DISK_REOPEN_RATIO if self._disk_closed else 1.0)
        if self._disk_closed:
            return Finding(Part.DISK, Mode.CANCEL_ONLY, "the database's volume is nearly full: cancels only")
        if free is not None and free < bound * DISK_LOW_RATIO:
            return Finding(Part.DISK, Mode.DEGRADED, "the database's volume is filling up")
        return None

    def _reopening(self) -> Finding | None:
        if self._clock_s() < self._reopens_s:
            return Finding(Part.REOPENING, Mode.CANCEL_ONLY, "after an outage cancels come first: orders follow")
        return None

    def _projection(self) -> Finding | None:
        lag_s, bound = self.projection_lag_s, self._projection_lag_max_s
        # Lag that nobody can tell changes nothing.
        if lag_s is not None:
            bound *= PROJECTION_CAUGHT_UP_RATIO if self._projection_late else 1.0
            self._projection_late = bound > 0 and lag_s > bound
        if self._projection_late:
            return Finding(Part.PROJECTION, Mode.DEGRADED, "the worker is far behind: new orders are throttled")
        return None

    def _standby(self) -> Finding | None:
        if self.standbys is not None and self.standbys < self._standbys_wanted:
            return Finding(Part.STANDBY, Mode.DEGRADED, "no standby follows: after a failure the next start leads")
        return None

    def _bus(self) -> Finding | None:
        if self.bus_fault is not None:
            return Finding(
                Part.REDIS, Mode.DEGRADED, "the engine cannot publish to Redis: streams come from the journal"
            )
        return None


def orders_of(command: Command) -> tuple[PlaceOrder, ...]:
    """Return the orders that a command places."""
    if isinstance(command, PlaceOrder):
        return (command,)
    return tuple(command.orders) if isinstance(command, PlaceBatch | PlaceList) else ()
