"""Which guarded sessions still have a socket, as the replicas tell, and whose orders must be canceled because none has.

A replica's link is the lease of the sessions that it holds. A session that its replica released begins its grace at
once; one whose replicas all fell silent begins it LEASE_S after the last sign of life, and so does every session that a
new leader finds guarded. A session that is held again in time renews. What guards say is the engine's state; here is
only who holds what, and since when nobody does. No I/O.
"""

import asyncio
import heapq
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Final, NamedTuple

from app.domain.commands import CloseSession, Command, GuardSession
from app.domain.identity import SessionKey
from app.engine.state import SessionGuard, State
from app.errors import LinkError
from app.link.frames import HELD_MAX, SILENCE_MAX_S, HeldSession

LEASE_S: Final = 6.0
"""A replica that was silent for so long has lost its sessions; a new leader gives so long to announce them."""
JUDGE_EVERY_S: Final = 0.1
STALL_S: Final = 1.0
"""A leader that did not judge for so long was away itself: that time counts against nobody."""
CLOSES_MAX: Final = 500
"""Sessions closed in one round: a replica of 20,000 sessions must not fill the engine's queue at once."""
NS_PER_S = 1_000_000_000

Guards = Callable[[SessionKey], SessionGuard | None]
"""What the engine's state says of a session now; None is not guarded."""


class _Due(NamedTuple):
    """When to look at a session that nobody holds; `since` tells whether it is still the same loss."""

    at: float
    key: SessionKey
    since: float


class Leases:
    """The sessions of one shard, in the eyes of its leader."""

    def __init__(self, guards: Guards, execute: Callable[[Command], None], clock_s: Callable[[], float]) -> None:
        self._guards = guards
        self._execute = execute
        self._clock_s = clock_s
        self._away_s = 0.0
        """Time that this leader was not there to judge."""
        self._judged_s = clock_s()
        self._held: dict[Hashable, set[SessionKey]] = {}
        """By link."""
        self._holders: dict[SessionKey, int] = {}
        self._lost: dict[SessionKey, float] = {}
        """Since when nobody holds a session."""
        self._due: list[_Due] = []
        self._closing: set[SessionKey] = set()
        """Closed, while the engine may not have come to it yet."""

    def begin(self, guarded: Iterable[SessionKey]) -> None:
        """Expect every session that the engine's state knows to be announced within LEASE_S."""
        for key in guarded:
            self._lose(key, self._now_s() + LEASE_S)

    # ---- what the link tells -------------------------------------------------------------------

    def hold(self, link: Hashable, sessions: Iterable[HeldSession], *, is_again: bool) -> None:
        """A replica has sockets of these sessions. Raises LinkError beyond HELD_MAX.

        Of one that it had before (`is_again`), a guard that lapsed meanwhile is set up anew.
        """
        held = self._held.setdefault(link, set())
        for session in sessions:
            key = SessionKey(session.account_id, session.session_id)
            if key not in held:
                if len(held) >= HELD_MAX:
                    raise LinkError(f"expected at most {HELD_MAX} sessions of a replica", sent=False)
                held.add(key)
                self._holders[key] = self._holders.get(key, 0) + 1
                self._lost.pop(key, None)
            if is_again and (key in self._closing or self._guards(key) is None):
                self._execute(GuardSession(*key, session.scope, session.grace_ms * 1_000_000))

    def release(self, link: Hashable, keys: Iterable[SessionKey]) -> None:
        """A replica has no socket of these sessions any more: their grace begins."""
        held = self._held.get(link, set())
        for key in keys:
            if key in held:
                held.remove(key)
                self._drop(key, self._now_s())

    def lose(self, link: Hashable, silent_s: float) -> None:
        """A link is gone, and nothing was heard on it for so long."""
        # A leader that was away itself may find every link silent for longer than a link lives.
        lapse_s = self._now_s() - min(silent_s, SILENCE_MAX_S) + LEASE_S
        for key in self._held.pop(link, ()):
            self._drop(key, lapse_s)

    # ---- what follows from it ------------------------------------------------------------------

    def judge(self) -> None:
        """Close the sessions whose grace is over, the longest over first, at most CLOSES_MAX."""
        now_s = self._clock_s()
        gap_s, self._judged_s = now_s - self._judged_s, now_s
        if gap_s > STALL_S:
            self._away_s += gap_s
        now_s -= self._away_s
        self._closing = {key for key in self._closing if self._guards(key) is not None}
        closed = 0
        while self._due and self._due[0].at <= now_s and closed < CLOSES_MAX:
            due = heapq.heappop(self._due)
            if self._lost.get(due.key) != due.since:
                continue
            guard = self._guards(due.key)
            # A guard may be on its way: its command lives shorter than LEASE_S.
            ends_s = due.since + (LEASE_S if guard is None else guard.grace_ns / NS_PER_S)
            if ends_s > now_s:
                heapq.heappush(self._due, _Due(ends_s, due.key, due.since))
                continue
            del self._lost[due.key]
            if guard is not None:
                self._closing.add(due.key)
                self._execute(CloseSession(*due.key))
                closed += 1

    async def run(self) -> None:
        """Judge for ever."""
        while True:
            await asyncio.sleep(JUDGE_EVERY_S)
            self.judge()

    def _drop(self, key: SessionKey, since_s: float) -> None:
        """Count one holder less."""
        left = self._holders[key] - 1
        if left:
            self._holders[key] = left
        else:
            del self._holders[key]
            self._lose(key, since_s)

    def _lose(self, key: SessionKey, since_s: float) -> None:
        self._lost[key] = since_s
        heapq.heappush(self._due, _Due(since_s, key, since_s))

    def _now_s(self) -> float:
        return self._clock_s() - self._away_s


def leases_of(state: State, execute: Callable[[Command], None]) -> Leases:
    """Return the leases that a leader begins with: every guarded session waits to be announced."""

    def guard_of(key: SessionKey) -> SessionGuard | None:
        account = state.accounts.get(key.account_id)
        return None if account is None else account.guards.get(key.session_id)

    leases = Leases(guard_of, execute, time.monotonic)
    leases.begin(SessionKey(number, name) for number, account in state.accounts.items() for name in account.guards)
    return leases
