"""Connections that make load at little cost: WebSocket and HTTP/1.1 straight on asyncio protocols.

A load generator that costs more than the server measures itself, so there is no client library here:
answers are looked at just enough to pair and to count them.
"""

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from typing import TypeVar, cast
from urllib.parse import SplitResult, urlsplit

import msgspec

from app.dev.client import Signer
from app.dev.credentials import Credentials

ANSWER_TIMEOUT_S = 30.0
_UNMASKED_KEY = bytes(4)
"""A key of zeros leaves the payload as it is."""
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_HEADER_BYTES_MIN = 2


class Refused(Exception):
    """The server answered something else than success where nothing else will do."""


class _Frame(msgspec.Struct):
    """What pairs a frame with its request."""

    type: str = ""
    id: str | None = None


AnyWire = TypeVar("AnyWire", bound="Wire")

_frame = msgspec.json.Decoder(_Frame)


class Wire(asyncio.Protocol):
    """One connection. Whoever uses it sets what is called: with a request's number and its answer, or at the end."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self.on_answer: Callable[[int, bytes], None] = _ignore
        self.on_refusal: Callable[[int, bytes], None] = _ignore
        self.on_lost: Callable[[Exception], None] = _ignore

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that nothing more will come."""
        self._transport = None
        self._lost(ConnectionError("the server closed the connection"))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def _lost(self, error: Exception) -> None:
        self.on_lost(error)


class StreamWire(Wire):
    """A WebSocket session. Requests are frames whose `id` is their number."""

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self._upgraded: asyncio.Future[None] = loop.create_future()
        self._authenticated: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def connect(cls, url: str, credentials: Credentials) -> "StreamWire":
        """Open a session and authenticate it. Raises Refused, OSError, or TimeoutError."""
        parts = urlsplit(url)
        session = await _connected(cls, parts)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {parts.path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        )
        try:
            session.write("\r\n".join((*lines, "", "")).encode())
            await asyncio.wait_for(session._upgraded, ANSWER_TIMEOUT_S)
            timestamp, signature = Signer(credentials).sign("GET", parts.path)
            auth = {"action": "auth", "key": credentials.key, "timestamp": timestamp, "signature": signature}
            session.write(frame(msgspec.json.encode(auth)))
            await asyncio.wait_for(session._authenticated, ANSWER_TIMEOUT_S)
        except BaseException:
            session.close()
            raise
        return session

    def data_received(self, data: bytes) -> None:
        """Take every whole frame."""
        buffer = self._buffer
        buffer += data
        if not self._upgraded.done():
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self._lost(Refused(bytes(buffer[:end]).decode("latin-1")))
                return
            self._upgraded.set_result(None)
            del buffer[: end + 4]
        start = 0
        while (payload := payload_at(buffer, start)) is not None:
            first, last = payload
            self._take(buffer[start] & 0xF, bytes(buffer[first:last]))
            start = last
        del buffer[:start]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self.write(frame(payload, _PONG))
            return
        if opcode == _CLOSE:
            self._lost(ConnectionError(f"the session was closed: {payload[2:].decode()}"))
            return
        answer = _frame.decode(payload)
        if answer.type == "result" and answer.id is not None:
            self.on_answer(int(answer.id), payload)
        elif answer.type == "authenticated" and not self._authenticated.done():
            self._authenticated.set_result(None)
        elif answer.type == "error" and answer.id is not None:
            self.on_refusal(int(answer.id), payload)
        elif answer.type == "error":
            self._lost(Refused(payload.decode()))

    def _lost(self, error: Exception) -> None:
        super()._lost(error)
        for step in (self._upgraded, self._authenticated):
            if not step.done():
                step.set_exception(error)
                # Whoever waits for one step never looks at the other.
                step.exception()


class RestWire(Wire):
    """A kept-alive HTTP/1.1 connection, one request at a time; the first answer's number is 0."""

    def __init__(self) -> None:
        super().__init__()
        self._answers = 0

    @classmethod
    async def connect(cls, url: str) -> "RestWire":
        """Open a connection. Raises OSError or TimeoutError."""
        return await _connected(cls, urlsplit(url))

    def data_received(self, data: bytes) -> None:
        """Take a whole response."""
        buffer = self._buffer
        buffer += data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(buffer[:end]).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        whole = end + 4 + int(length or b"0")
        if len(buffer) < whole:
            return
        body = bytes(buffer[end + 4 : whole])
        del buffer[:whole]
        number = self._answers
        self._answers += 1
        if head.startswith((b"http/1.1 200", b"http/1.1 201")):
            self.on_answer(number, body)
        else:
            self.on_refusal(number, body)


def _ignore(*_: object) -> None:
    """Stand in until somebody listens."""


async def _connected(kind: type[AnyWire], parts: SplitResult) -> AnyWire:
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"expected a host and a port, was {parts.geturl()}")
    connecting = asyncio.get_running_loop().create_connection(kind, parts.hostname, parts.port)
    _, connection = await asyncio.wait_for(connecting, ANSWER_TIMEOUT_S)
    return connection


def payload_at(buffer: bytearray, start: int) -> tuple[int, int] | None:
    """Return where the payload of the server's frame at `start` begins and ends, or None while it is not whole."""
    size = len(buffer) - start
    if size < _HEADER_BYTES_MIN:
        return None
    length, head = buffer[start + 1], 2
    if length == 126:
        head = 4
        if size < head:
            return None
        (length,) = struct.unpack_from(">H", buffer, start + 2)
    elif length == 127:
        head = 10
        if size < head:
            return None
        (length,) = struct.unpack_from(">Q", buffer, start + 2)
    return None if size < head + length else (start + head, start + head + length)


def frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """Return a client's frame."""
    length = len(payload)
    if length < 126:
        head = struct.pack(">BB", _FINAL | opcode, _MASKED | length)
    else:
        head = struct.pack(">BBH", _FINAL | opcode, _MASKED | 126, length)
    return head + _UNMASKED_KEY + payload


def place_frame(number: int, order: bytes) -> bytes:
    """Return the frame that places an order."""
    return frame(b'{"action":"order.place","id":"%d","order":%s}' % (number, order))


def signed_request(signer: Signer, host: str, method: str, target: str, body: bytes = b"") -> bytes:
    """Return a request, signed now."""
    timestamp, signature = signer.sign(method, target, body)
    lines = (
        f"{method} {target} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"X-API-Key: {signer.credentials.key}",
        f"X-API-Timestamp: {timestamp}",
        f"X-API-Signature: {signature}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def get_request(host: str, target: str) -> bytes:
    """Return an unsigned GET."""
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
