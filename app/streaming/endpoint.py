"""The socket side of a session: Starlette's WebSocket in, the outbox out, and nobody's traceback.

Run it under uvicorn with WS_SETTINGS. A lost connection shows up in any
await, as a disconnect message, WebSocketDisconnect or RuntimeError; all of them just end the
session. Frames are already text: one ASGI message each, no encoding here.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from app import metrics
from app.errors import ApiError
from app.protocol.addresses import caller_of
from app.protocol.messages import encode_frame
from app.protocol.ports import Authenticator, OrderEntry, SessionHolds
from app.protocol.problems import problem_of
from app.streaming.hub import Hub
from app.streaming.key_watch import KeyWatch
from app.streaming.limits import SessionLimits
from app.streaming.liveness import StreamProtocol
from app.streaming.session import PING_INTERVAL_MS, Session, SessionContext

PONG_TIMEOUT_S = 60.0
WS_SETTINGS: dict[str, Any] = {
    "ws": StreamProtocol,
    "ws_max_size": 65_536,
    "ws_ping_interval": PING_INTERVAL_MS / 1000,
    "ws_ping_timeout": PONG_TIMEOUT_S,
    # Compressed input can be amplified a thousand times, and state of it costs 50 KB a socket.
    "ws_per_message_deflate": False,
}
"""Settings of uvicorn that the stream relies on."""

_log = logging.getLogger(__name__)
_GONE = (WebSocketDisconnect, RuntimeError, OSError)
"""What sending to or receiving from a lost socket raises."""


class StreamEndpoint:
    """`GET /v1/stream`: pass `serve` to the router."""

    def __init__(
        self,
        hub: Hub,
        order_entry: OrderEntry,
        authenticator: Authenticator,
        holds: SessionHolds,
        *,
        allowed_origins: Collection[str] = (),
        limits: SessionLimits | None = None,
    ) -> None:
        self._limits = limits or SessionLimits()
        self.key_watch = KeyWatch(authenticator)
        """Ends the sessions of revoked keys, while it runs."""
        self._context = SessionContext(
            hub=hub,
            authenticator=authenticator,
            order_entry=order_entry,
            limits=self._limits,
            holds=holds,
            key_watch=self.key_watch,
        )
        self._hub = hub
        self._allowed_origins = frozenset(allowed_origins)
        self._sessions = 0
        self._sessions_of: Counter[str] = Counter()
        """Sessions by caller: no more entries than sessions."""

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket until it ends."""
        address = websocket.client.host if websocket.client else None
        caller = caller_of(address or "")
        refusal = self._refusal(websocket, caller)
        if refusal is not None:
            with suppress(*_GONE):
                await websocket.send_denial_response(_problem_response(refusal))
            return
        self._sessions += 1
        self._sessions_of[caller] += 1
        try:
            await self._serve(websocket, address)
        finally:
            self._sessions -= 1
            self._sessions_of[caller] -= 1
            if not self._sessions_of[caller]:
                del self._sessions_of[caller]

    async def _serve(self, websocket: WebSocket, address: str | None) -> None:
        try:
            await websocket.accept()
        except _GONE:
            return
        metrics.SESSIONS_OPEN.inc()
        session = Session(self._context, address=address)
        try:
            await _run(websocket, session)
        finally:
            session.detach()
            metrics.SESSIONS_OPEN.dec()

    def _refusal(self, websocket: WebSocket, caller: str) -> ApiError | None:
        origin = websocket.headers.get("origin")
        if origin is not None and origin not in self._allowed_origins:
            return ApiError("forbidden", "This origin may not open the stream.")
        if self._hub.is_draining or self._sessions >= self._limits.sessions_max:
            return ApiError("service_unavailable", "This replica takes no more sessions.", retry_after_ms=1000)
        most = self._limits.sessions_per_address
        if most is not None and self._sessions_of[caller] >= most:
            return ApiError(
                "rate_limited", "The address has too many sessions here.", limit=str(most), retry_after_ms=1000
            )
        return None


async def _run(websocket: WebSocket, session: Session) -> None:
    reader = asyncio.create_task(_read(websocket, session))
    writer = asyncio.create_task(_write(websocket, session))
    session.abort = writer.cancel
    try:
        await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
    finally:
        reader.cancel()
        writer.cancel()
        for result in await asyncio.gather(reader, writer, return_exceptions=True):
            if isinstance(result, Exception):
                _log.error("session %s broke", session.id, exc_info=result)


async def _read(websocket: WebSocket, session: Session) -> None:
    while True:
        try:
            message = await websocket.receive()
        except _GONE:
            return
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            session.receive_binary()
        else:
            await session.receive(text)


async def _write(websocket: WebSocket, session: Session) -> None:
    outbox, clock_s = session.outbox, time.monotonic
    while True:
        await outbox.wait()
        while (text := outbox.take()) is not None:
            session.writing_since_s = clock_s()
            if not await _sent(websocket, {"type": "websocket.send", "text": text}):
                return
        session.writing_since_s = None
        session.pump()
        if session.close is not None and not len(outbox):
            close = {"type": "websocket.close", "code": int(session.close), "reason": session.close.reason}
            await _sent(websocket, close)
            return


async def _sent(websocket: WebSocket, message: dict[str, Any]) -> bool:
    try:
        await websocket.send(message)
    except _GONE:
        return False
    return True


def _problem_response(error: ApiError) -> Response:
    problem = problem_of(error, None)
    headers = None if error.retry_after_ms is None else {"Retry-After": str(-(-error.retry_after_ms // 1000))}
    return Response(encode_frame(problem), problem.status, headers, "application/problem+json")
