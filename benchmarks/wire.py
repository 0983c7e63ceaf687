"""Connections that make load at little cost: WebSocket and HTTP/1.1 straight on asyncio protocols.

A load generator that costs more than the server measures itself, so there is no client library here:
requests are bytes made ahead, answers are looked at just enough to pair and to count them.
"""

import asyncio
import base64
import os
import struct
import time
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
    """The server answered something else than success: the first such answer ends the run."""


class Answer(msgspec.Struct):
    """What is looked at of a frame or body."""

    type: str = ""
    id: str | None = None


AnyLoad = TypeVar("AnyLoad", bound="Load")

_answer = msgspec.json.Decoder(Answer)


class Load(asyncio.Protocol):
    """One connection that keeps a number of requests under way and notes how long each took."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._sent_ns: list[int] = []
        self._next = 0
        self._requests: list[Callable[[], bytes]] = []
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies_ns: list[int] = []
        self.last_answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way."""
        self._fail(ConnectionError("the server closed the connection"))

    def close(self) -> None:
        """Close the connection; nothing may be under way."""
        if not self._done.done():
            self._done.cancel()
        if self._transport is not None:
            self._transport.close()

    async def run(self, requests: list[Callable[[], bytes]], *, in_flight: int) -> None:
        """Send all requests, so many at a time, and return when all are answered. Raises Refused."""
        self._requests, self._next = requests, 0
        self._sent_ns, self.latencies_ns = [], []
        self._done = asyncio.get_running_loop().create_future()
        for _ in range(min(in_flight, len(requests))):
            self._send_next()
        await asyncio.wait_for(self._done, ANSWER_TIMEOUT_S)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def answered(self, number: int, answer: bytes) -> None:
        """Note the answer of a request, and send the next one."""
        self.latencies_ns.append(time.perf_counter_ns() - self._sent_ns[number])
        self.last_answer = answer
        if self._next < len(self._requests):
            self._send_next()
        elif len(self.latencies_ns) == len(self._requests) and not self._done.done():
            self._done.set_result(None)

    def _send_next(self) -> None:
        request = self._requests[self._next]()
        self._next += 1
        self._sent_ns.append(time.perf_counter_ns())
        self.write(request)

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)


class StreamLoad(Load):
    """A WebSocket session. Requests are frames whose `id` is their number."""

    def __init__(self) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self._upgraded: asyncio.Future[None] = loop.create_future()
        self._authenticated: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def connect(cls, url: str, credentials: Credentials) -> "StreamLoad":
        """Open a session and authenticate it. Raises Refused."""
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
        session.write("\r\n".join((*lines, "", "")).encode())
        await asyncio.wait_for(session._upgraded, ANSWER_TIMEOUT_S)
        timestamp, signature = Signer(credentials).sign("GET", parts.path)
        auth = {"action": "auth", "key": credentials.key, "timestamp": timestamp, "signature": signature}
        session.write(frame(msgspec.json.encode(auth)))
        await asyncio.wait_for(session._authenticated, ANSWER_TIMEOUT_S)
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
                self._fail(Refused(bytes(buffer[:end]).decode("latin-1")))
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
            self._fail(ConnectionError(f"the session was closed: {payload[2:].decode()}"))
            return
        answer = _answer.decode(payload)
        if answer.type == "result" and answer.id is not None:
            self.answered(int(answer.id), payload)
        elif answer.type == "authenticated":
            self._authenticated.set_result(None)
        elif answer.type == "error":
            self._fail(Refused(payload.decode()))

    def _fail(self, error: Exception) -> None:
        super()._fail(error)
        for step in (self._upgraded, self._authenticated):
            if not step.done():
                step.set_exception(error)
                # Whoever waits for one step never looks at the other.
                step.exception()


class RestLoad(Load):
    """A kept-alive HTTP/1.1 connection, one request at a time."""

    @classmethod
    async def connect(cls, url: str) -> "RestLoad":
        """Open a connection."""
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
        whole = end + 4 + int(length)
        if len(buffer) < whole:
            return
        body = bytes(buffer[end + 4 : whole])
        del buffer[:whole]
        if not head.startswith((b"http/1.1 200", b"http/1.1 201")):
            self._fail(Refused(body.decode()))
            return
        self.answered(len(self.latencies_ns), body)


async def _connected(kind: type[AnyLoad], parts: SplitResult) -> AnyLoad:
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"expected a host and a port, was {parts.geturl()}")
    _, connection = await asyncio.get_running_loop().create_connection(kind, parts.hostname, parts.port)
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


def place_request(signer: Signer, host: str, order: bytes) -> bytes:
    """Return the request that places an order, signed now."""
    timestamp, signature = signer.sign("POST", "/v1/orders", order)
    lines = (
        "POST /v1/orders HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(order)}",
        f"X-API-Key: {signer.credentials.key}",
        f"X-API-Timestamp: {timestamp}",
        f"X-API-Signature: {signature}",
    )
    return "\r\n".join((*lines, "", "")).encode() + order


def get_request(host: str, target: str) -> bytes:
    """Return an unsigned GET."""
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
