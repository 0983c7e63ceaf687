"""The guarded sessions that a replica has, as it tells whoever leads: at once, and all of them on every new link."""

from collections.abc import Callable

from app.domain.enums import DisconnectScope
from app.domain.identity import SessionKey
from app.errors import ApiError
from app.link.frames import HELD_CHUNK, HELD_MAX, HeldSession, Hold, Release


class Holds:
    """Implements ports.SessionHolds."""

    def __init__(self) -> None:
        self._send: Callable[[Hold | Release], None] | None = None
        self._held: dict[SessionKey, HeldSession] = {}
        self._sockets: dict[SessionKey, int] = {}
        """A session that was taken over may still have its own socket, too."""

    @property
    def count(self) -> int:
        """Sessions that the replica has sockets of."""
        return len(self._held)

    def hold(self, key: SessionKey, scope: DisconnectScope, grace_ms: int) -> None:
        """Tell that one socket more answers for a session. Raises ApiError."""
        if key not in self._held and len(self._held) >= HELD_MAX:
            raise ApiError("service_unavailable", "this replica guards no more sessions", retry_after_ms=1000)
        self._sockets[key] = self._sockets.get(key, 0) + 1
        self.change(key, scope, grace_ms)
        if self._sockets[key] == 1 and self._send is not None:
            self._send(Hold((self._held[key],), False))

    def change(self, key: SessionKey, scope: DisconnectScope, grace_ms: int) -> None:
        """Note what a held session asks for now."""
        self._held[key] = HeldSession(*key, scope, grace_ms)

    def release(self, key: SessionKey) -> None:
        """Tell that one socket less answers for a session."""
        self._sockets[key] -= 1
        if not self._sockets[key]:
            del self._sockets[key], self._held[key]
            if self._send is not None:
                self._send(Release((key,)))

    def attach(self, send: Callable[[Hold | Release], None]) -> None:
        """Tell a leader about all of them, and from now on about every change."""
        self._send = send
        held = tuple(self._held.values())
        for first in range(0, len(held), HELD_CHUNK):
            send(Hold(held[first : first + HELD_CHUNK], True))

    def detach(self) -> None:
        """The link is lost: the next one hears of everything."""
        self._send = None
