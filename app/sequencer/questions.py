"""What replicas ask of the engine's state: looked into between batches, told once what was seen is committed.

A question costs orders nothing but the moment it takes: few are looked into between two batches, few may wait, and
one that fails is refused and stops nobody.
"""

import time
from collections import deque
from typing import NamedTuple

import structlog

from app.engine.engine import Engine
from app.engine.standing import standing
from app.link.frames import BUSY_RETRY_MS, Refusal, StandingAnswer, StandingRequest
from app.link.server import Connection, refusal

HASH_FREE_S = 0.1
"""A state hash that takes more of the processor stops trading noticeably: it is made at most every HASH_EVERY_S."""
HASH_EVERY_S = 60.0
HASH_MAX_S = 0.3
"""A state hash that would take more is not made: a leader that stands still for long is taken for dead."""
ORDER_HASH_S = 5e-6
ACCOUNT_HASH_S = 8e-6
"""What an order, open or remembered, and an account with its balances add to a state hash, about."""
STANDINGS_WAITING_MAX = 1_000
STANDINGS_AT_ONCE = 20
"""Questions about accounts that are looked into between two batches."""

log = structlog.get_logger(__name__)


class HashedState(NamedTuple):
    """The state hash at a sequence, and what it cost; sequence -1 and no bytes before the first."""

    sequence: int
    state_hash: bytes
    seconds: float
    at: float


class Readings(NamedTuple):
    """What was seen in a sealed state, for those who asked."""

    status_requests: list[tuple[int, Connection]]
    hashed: HashedState
    """Only new when somebody asked for the status."""
    standings: list[tuple[Connection, StandingAnswer | Refusal]]


class Questions:
    """Those that wait for a sealed state."""

    def __init__(self) -> None:
        self._status: list[tuple[int, Connection]] = []
        self._standings: deque[tuple[StandingRequest, Connection]] = deque()
        self._hashed = HashedState(-1, b"", 0.0, 0.0)

    def __bool__(self) -> bool:
        """Return whether anything was asked."""
        return bool(self._status or self._standings)

    def ask_status(self, request_id: int, connection: Connection) -> None:
        """Take a question for the engine's status."""
        self._status.append((request_id, connection))

    def ask_standing(self, request: StandingRequest, connection: Connection) -> None:
        """Take a question for an account's standing, or refuse it when too many wait."""
        if len(self._standings) >= STANDINGS_WAITING_MAX:
            connection.send(refusal(request, "service_unavailable", "too many ask for accounts", BUSY_RETRY_MS))
            return
        self._standings.append((request, connection))

    def look(self, engine: Engine, now_ns: int) -> Readings:
        """Look into a sealed state for all who ask for the status, and the next few who ask for an account."""
        status, self._status = self._status, []
        if status:
            self._hash(engine)
        few = min(len(self._standings), STANDINGS_AT_ONCE)
        standings = [_look_at_account(engine, now_ns, *self._standings.popleft()) for _ in range(few)]
        return Readings(status, self._hashed, standings)

    def _hash(self, engine: Engine) -> None:
        """Hash the state, unless that is expensive and was done a moment ago, or is too expensive altogether."""
        now, sequence = time.monotonic(), engine.state.sequence
        known = self._hashed
        if len(engine.state.orders) * ORDER_HASH_S + len(engine.state.accounts) * ACCOUNT_HASH_S > HASH_MAX_S:
            return
        if known.sequence != sequence and (known.seconds < HASH_FREE_S or now - known.at > HASH_EVERY_S):
            began = time.thread_time()
            state_hash = engine.state_hash()
            self._hashed = HashedState(sequence, state_hash, time.thread_time() - began, now)


def _look_at_account(
    engine: Engine, now_ns: int, request: StandingRequest, connection: Connection
) -> tuple[Connection, StandingAnswer | Refusal]:
    account = engine.state.accounts.get(request.account_id)
    try:
        found = None if account is None else standing(engine.state, account, now_ns)
    except Exception:
        # A question changes nothing, so a fault in its answer is no reason to stop trading.
        log.exception("standing_failed", account_id=request.account_id)
        return connection, refusal(request, "internal_error", "the engine could not tell")
    return connection, StandingAnswer(request.request_id, found)
