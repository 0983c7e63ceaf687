"""Loading a piece of state when it is first used: one load at a time, shared by all who wait for it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.errors import ApiError, OrderwireError
from app.tasks import end_all

RETRY_FIRST_S = 0.1
RETRY_MAX_S = 2.0

_log = logging.getLogger(__name__)


class Activation:
    """Runs `load` until it succeeds: once for a caller who can be told of a failure, for ever for subscribers."""

    def __init__(self, what: str, load: Callable[[], Awaitable[None]], is_wanted: Callable[[], bool]) -> None:
        self._what = what
        self._load = load
        self._is_wanted = is_wanted
        self._loading: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def once(self) -> None:
        """Load, or join a load that runs. Raises ApiError if it fails."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._guarded())
        # A caller who gives up must not take the load away from the others.
        await asyncio.shield(self._loading)

    def keep_trying(self) -> None:
        """Load in the background, again and again while somebody wants it."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_trying())

    async def stop(self) -> None:
        """End what runs."""
        await end_all([task for task in (self._keeping, self._loading) if task is not None])

    async def _keep_trying(self) -> None:
        pause_s = RETRY_FIRST_S
        while self._is_wanted():
            try:
                await self.once()
            except ApiError as error:
                _log.warning("%s is not available yet: %s", self._what, error.detail)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_MAX_S)

    async def _guarded(self) -> None:
        try:
            await self._load()
        except ApiError:
            raise
        except (OrderwireError, OSError, TimeoutError) as fault:
            raise ApiError("service_unavailable", f"{self._what} cannot be read right now.") from fault
        except Exception as fault:
            # Drivers have exceptions of their own; whatever it was, the next attempt may succeed.
            _log.exception("loading %s failed", self._what)
            raise ApiError("service_unavailable", f"{self._what} cannot be read right now.") from fault
