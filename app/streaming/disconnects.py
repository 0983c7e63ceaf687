"""Cancel on disconnect: what a session placed is canceled when its socket is gone and stays gone.

A session asks for it. Once its socket is lost, its orders live on for the grace it named; a new session of
the account on this replica may adopt them meanwhile. What the engine does not take yet is tried again.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from app.errors import ApiError
from app.protocol.ports import OrderEntry

GRACE_MS_DEFAULT = 10_000
ADOPTED_MAX = 100
"""Sessions whose orders one session answers for, its own included."""
RETRY_FIRST_S = 0.1
RETRY_MAX_S = 2.0
STOP_S = 3.0
"""How long a replica that stops tries to have the engine cancel what waits."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What one session asked for: whose orders to cancel, of which sessions, and how long after its end."""

    account_id: int
    grace_ms: int
    session_ids: set[str]


class Disconnects:
    """The guards of lost sessions of one replica."""

    def __init__(self, entry: OrderEntry) -> None:
        self._entry = entry
        self._adoptable: dict[str, tuple[Guard, asyncio.Task[None]]] = {}
        """Guards in their grace, by every session that each answers for."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    def lose(self, guard: Guard) -> None:
        """Cancel what a guard answers for when its grace is over, unless it is adopted before."""
        task = asyncio.get_running_loop().create_task(self._fire(guard))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        for session_id in guard.session_ids:
            self._adoptable[session_id] = guard, task

    def adopt(self, session_id: str, account_id: int) -> set[str]:
        """Take over a lost session of the account; returns the sessions it answered for. Raises ApiError."""
        guard, task = self._adoptable.get(session_id, (None, None))
        if guard is None or task is None or guard.account_id != account_id:
            raise ApiError("not_found", "No lost session of this id waits on this replica.", field="adopt")
        self._forget(guard)
        task.cancel()
        return guard.session_ids

    async def stop(self) -> None:
        """Cancel at once what waits: nobody could adopt it any more."""
        self._stopping.set()
        tasks = list(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _fire(self, guard: Guard) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), guard.grace_ms / 1000)
        # From here on it is too late to adopt: some of the orders may be gone.
        self._forget(guard)
        for session_id in sorted(guard.session_ids):
            await self._cancel(guard.account_id, session_id)

    async def _cancel(self, account_id: int, session_id: str) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                await self._entry.close_session(account_id, session_id)
            except Exception as fault:
                # Whatever it was: the orders must not stay because of it.
                _log.warning("the orders of session %s are not canceled yet: %r", session_id, fault)
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)

    def _forget(self, guard: Guard) -> None:
        for session_id in guard.session_ids:
            self._adoptable.pop(session_id, None)
