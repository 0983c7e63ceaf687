"""The sessions that API keys opened: a revoked key ends them.

A request looks its key up each time, a session only when it authenticates: so the revocation has
to find the session. One question a second covers all keys in use. While it cannot be answered
the sessions stay as they are, and the next one makes up for it.
"""

import asyncio
import logging
from typing import Protocol

from app.protocol.ports import Authenticator

KEY_CHECK_S = 1.0
KEYS_ASKED_MAX = 1_000
"""Keys of one question; more are asked for one after the other."""

_log = logging.getLogger(__name__)


class KeyHolder(Protocol):
    """A session, as the watch knows it."""

    def lose_key(self) -> None:
        """End: the key it authenticated with is revoked."""


class KeyWatch:
    """The API keys in use on one replica; `run` beside the server."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._holders: dict[str, set[KeyHolder]] = {}

    def hold(self, key_id: str | None, holder: KeyHolder) -> None:
        """Tell a session when its key is revoked; other credentials (None) only end by themselves."""
        if key_id is not None:
            self._holders.setdefault(key_id, set()).add(holder)

    def release(self, key_id: str | None, holder: KeyHolder) -> None:
        """Forget a session that uses a key no more."""
        holders = None if key_id is None else self._holders.get(key_id)
        if key_id is None or holders is None:
            return
        holders.discard(holder)
        if not holders:
            del self._holders[key_id]

    async def run(self) -> None:
        """Look every KEY_CHECK_S, for ever."""
        is_failing = False
        while True:
            await asyncio.sleep(KEY_CHECK_S)
            try:
                await self.look()
                is_failing = False
            except Exception as fault:
                # Whatever a driver says: giving up would keep revoked keys alive.
                if not is_failing:
                    _log.warning("revoked keys cannot be looked up: %r", fault)
                is_failing = True

    async def look(self) -> None:
        """End the sessions of keys that were revoked. Raises what the authenticator does."""
        key_ids = list(self._holders)
        for start in range(0, len(key_ids), KEYS_ASKED_MAX):
            for key_id in await self._authenticator.revoked_keys(key_ids[start : start + KEYS_ASKED_MAX]):
                for holder in tuple(self._holders.get(key_id, ())):
                    holder.lose_key()
