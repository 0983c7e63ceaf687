"""uvicorn's WebSocket protocol with the close code that clients were promised for a silent peer."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.protocol.close_codes import Close


class StreamProtocol(WebSocketsSansIOProtocol):
    """Closes a socket that answers no ping with 4007; uvicorn would say 1011, an error of ours."""

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
