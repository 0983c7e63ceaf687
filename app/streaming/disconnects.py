"""Cancel on disconnect: what one socket asked for, kept by the engine, and its sign of life, kept by the link.

Here nothing is canceled and no time is measured: the leader does both, whatever becomes of this replica. A session is
announced before it is guarded, so that its leader never sees a guard without a socket.
"""

from dataclasses import dataclass, field

from app.domain.enums import DisconnectScope
from app.domain.identity import Principal, SessionKey
from app.errors import ApiError
from app.protocol.messages import SessionMessage
from app.protocol.ports import OrderEntry, SessionHolds

GRACE_MS_DEFAULT = 10_000
ANSWERED_MAX = 100
"""Sessions whose orders one socket answers for, its own included."""


@dataclass
class _Terms:
    """What a socket asked for on behalf of one account."""

    scope: DisconnectScope | None = None
    grace_ms: int = GRACE_MS_DEFAULT
    keys: list[SessionKey] = field(default_factory=list)
    """Sessions that it answers for."""


class SessionGuard:
    """The guards of one socket: of its own session, and of those that it adopted."""

    def __init__(self, entry: OrderEntry, holds: SessionHolds, session_id: str) -> None:
        self._entry = entry
        self._holds = holds
        self._session_id = session_id
        self._terms: dict[int, _Terms] = {}
        """By account: who logs in as another one still answers for what the first one placed."""

    async def change(self, principal: Principal, message: SessionMessage) -> None:
        """Do what a client asked for; what it left out stays as it is. Raises ApiError."""
        account_id, wanted = principal.account_id, message.cancel_on_disconnect
        terms = self._terms.get(account_id, _Terms())
        scope = terms.scope
        if wanted is not None:
            scope = None if wanted == "off" else DisconnectScope(wanted)
        if scope is DisconnectScope.ACCOUNT and principal.symbols is not None:
            detail = "these credentials are limited to instruments: they cannot cancel all of the account's orders"
            raise ApiError("forbidden", detail, field="cancel_on_disconnect")
        grace_ms = terms.grace_ms if message.grace_ms is None else message.grace_ms
        if message.adopt is not None:
            await self._adopt(SessionKey(account_id, message.adopt), scope, grace_ms)
        if scope is None:
            await self._end(account_id)
            return
        is_changed = (scope, grace_ms) != (terms.scope, terms.grace_ms)
        for key in dict.fromkeys((SessionKey(account_id, self._session_id), *terms.keys)):
            if is_changed or key not in terms.keys:
                await self._guard(key, scope, grace_ms)
        kept = self._terms.setdefault(account_id, _Terms())
        kept.scope, kept.grace_ms = scope, grace_ms

    def lose(self) -> None:
        """The socket is gone: from now on the leader counts."""
        for terms in self._terms.values():
            for key in terms.keys:
                self._holds.release(key)
        self._terms.clear()

    async def _adopt(self, key: SessionKey, scope: DisconnectScope | None, grace_ms: int) -> None:
        """Answer for a session of the account from now on; without a scope its orders simply stay."""
        if scope is None:
            self._holds.hold(key, DisconnectScope.SESSION, grace_ms)
            try:
                await self._entry.guard_session(key, None, grace_ms, is_adopted=True)
            finally:
                self._holds.release(key)
        else:
            await self._guard(key, scope, grace_ms, is_adopted=True)

    async def _guard(self, key: SessionKey, scope: DisconnectScope, grace_ms: int, *, is_adopted: bool = False) -> None:
        """Hold a session and have the engine note its terms; if that fails, everything is as it was."""
        terms = self._terms.setdefault(key.account_id, _Terms())
        is_new = key not in terms.keys
        if is_new:
            if sum(len(each.keys) for each in self._terms.values()) >= ANSWERED_MAX:
                raise ApiError("invalid_request", "This session answers for too many others.", field="adopt")
            self._holds.hold(key, scope, grace_ms)
            terms.keys.append(key)
        try:
            await self._entry.guard_session(key, scope, grace_ms, is_adopted=is_adopted)
        except ApiError:
            if is_new:
                terms.keys.remove(key)
                self._holds.release(key)
            raise
        self._holds.change(key, scope, grace_ms)

    async def _end(self, account_id: int) -> None:
        terms = self._terms.get(account_id)
        if terms is None:
            return
        for key in list(terms.keys):
            await self._entry.guard_session(key, None, 0)
            terms.keys.remove(key)
            self._holds.release(key)
        terms.scope = None
