"""Passwords as Argon2id hashes, computed in a small pool of threads of their own.

One hash costs tens of milliseconds and much memory by design, so the pool and its queue are
bounded: beyond them logins are refused with 503 instead of starving the orders.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from app.errors import ApiError

THREADS = 2
WAITING_MAX = 16
RETRY_AFTER_MS = 1000
T = TypeVar("T")


class PasswordProfile(NamedTuple):
    """Cost of one hash."""

    memory_kib: int
    passes: int
    lanes: int


PRODUCTION_PROFILE = PasswordProfile(memory_kib=19 * 1024, passes=2, lanes=1)
"""OWASP's floor for Argon2id; about 30 ms on one core."""
TEST_PROFILE = PasswordProfile(memory_kib=8, passes=1, lanes=1)
"""As cheap as the algorithm allows; for tests only."""


class Passwords:
    """Hashes and verifies passwords off the event loop."""

    def __init__(self, profile: PasswordProfile = PRODUCTION_PROFILE, *, waiting_max: int = WAITING_MAX) -> None:
        self._hasher = PasswordHasher(
            time_cost=profile.passes, memory_cost=profile.memory_kib, parallelism=profile.lanes, type=Type.ID
        )
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._pending_max = THREADS + waiting_max
        self._pending = 0
        # An unknown user is checked against this, so that the answer takes as long as for a known one.
        self._dummy_hash = self._hasher.hash("no password has this hash")

    async def hash(self, password: str) -> str:
        """Return the encoded hash of a password. Raises ApiError `service_unavailable` when the queue is full."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether the password fits; None stands for an unknown user: never, but as slowly.

        Raises ApiError `service_unavailable` when the queue is full.
        """
        fits = await self._run(lambda: self._fits(password_hash or self._dummy_hash, password))
        return fits and password_hash is not None

    def close(self) -> None:
        """Let running hashes end and stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._pending_max:
            raise ApiError(
                "service_unavailable", "Too many logins are waiting.", retry_after_ms=RETRY_AFTER_MS, retryable=True
            )
        self._pending += 1
        future = self._pool.submit(work)
        # Counted down when the thread is done, not when the caller gives up: an aborted
        # request must not make room for another hash.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._finished))
        return await asyncio.wrap_future(future)

    def _finished(self) -> None:
        self._pending -= 1
