"""uvicorn's WebSocket protocol for peers that fall silent: the promised close code, and no socket left behind."""

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.protocol.close_codes import Close

DROP_S = 10.0
"""Time for a peer to read the last frames and to answer the close."""


class StreamProtocol(WebSocketsSansIOProtocol):
    """Closes a socket that answers no ping with 4007; uvicorn would say 1011, an error of ours.

    A transport that closes waits until everything was read, for ever if need be: a socket whose
    session is over is dropped after `drop_s`, whatever its peer has read.
    """

    drop_s = DROP_S
    _drop_timer: asyncio.TimerHandle | None = None

    async def run_asgi(self) -> None:
        """Serve the session."""
        try:
            await super().run_asgi()
        finally:
            self._drop_later()

    def keepalive_timeout(self) -> None:
        """End the socket: no pong came in time."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(Close.TIMEOUT, Close.TIMEOUT.reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self._drop_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the session that the socket is gone."""
        super().connection_lost(exc)
        if self._drop_timer is not None:
            self._drop_timer.cancel()

    def _drop_later(self) -> None:
        if self._drop_timer is None and not self.disconnected:
            self._drop_timer = self.loop.call_later(self.drop_s, self.transport.abort)
