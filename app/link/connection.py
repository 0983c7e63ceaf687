"""A replica's connection to a leader: frames both ways."""

import asyncio
from collections.abc import Callable
from typing import cast

import structlog

from app.errors import LinkError
from app.link.frames import REPLY_BYTES_MAX, FrameReader, Reply, Request, decode_reply, encode_frame

log = structlog.get_logger(__name__)


class Link(asyncio.Protocol):
    """One connection to a leader; it hands on what it hears."""

    def __init__(self, on_reply: Callable[["Link", Reply], None]) -> None:
        self._on_reply = on_reply
        self._reader = FrameReader(REPLY_BYTES_MAX)
        self.transport: asyncio.Transport | None = None
        # Kept, as everywhere on an order's way: asking for the running loop is a system call before Python 3.12.
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.heard = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the leader speaks first."""
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Hand every message on; anything unreadable ends the connection."""
        self.heard = self._loop.time()
        try:
            for body in self._reader.feed(data):
                self._on_reply(self, decode_reply(body))
        except LinkError as error:
            log.warning("link_failed", reason=str(error))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.transport = None
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self, message: Request) -> None:
        """Write; uvloop lets what is written in one turn of the loop leave together, at the end of that turn."""
        if self.transport is not None:
            self.transport.write(encode_frame(message))

    def abort(self) -> None:
        """Drop the connection now."""
        if self.transport is not None:
            self.transport.abort()
