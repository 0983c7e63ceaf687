"""A small client of the public API: signed REST and one WebSocket session.

Used by seeding, the demo market and the end-to-end tests. It keeps to what PROTOCOL.md promises any
client and uses nothing of the server but its words. A refusal is `RequestRefused`; a lost connection
is `ConnectionError`, after which a `StreamSession` is of no more use: connect again.
"""

import asyncio
import hashlib
import hmac
import itertools
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from app.dev.credentials import Credentials

REST_TIMEOUT_S = 10.0
REST_CONNECTIONS_MAX = 8
REPLY_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
FRAME_BYTES_MAX = 64 << 20
"""A snapshot of a very deep book is a large frame."""
FRAMES_WAITING_MAX = 100_000
"""Frames that nobody has taken yet; beyond it the session gives up instead of growing."""
STREAM_PATH = "/v1/stream"

JsonObject = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class RequestRefused(Exception):
    """The server answered with a problem."""

    def __init__(self, problem: JsonObject) -> None:
        super().__init__(f"{problem.get('status')} {problem.get('code')}: {problem.get('detail')}")
        self.problem = problem

    @property
    def code(self) -> str:
        """Stable code of the problem."""
        return str(self.problem.get("code"))

    @property
    def status(self) -> int:
        """HTTP status of the problem."""
        return int(self.problem.get("status", 0))


class Signer:
    """Signs requests with one key; no two timestamps are equal, so equal requests have different signatures."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._last_ms = 0

    def sign(self, method: str, target: str, body: bytes = b"") -> tuple[str, str]:
        """Return timestamp (ms) and hex signature of `timestamp + METHOD + target + body`."""
        self._last_ms = max(self._last_ms + 1, time.time_ns() // 1_000_000)
        timestamp = str(self._last_ms)
        text = timestamp.encode() + method.encode() + target.encode() + body
        return timestamp, hmac.new(self.credentials.secret.encode(), text, hashlib.sha256).hexdigest()


class RestClient:
    """REST calls to one replica, signed when there are credentials. An async context manager."""

    def __init__(self, base_url: str, credentials: Credentials | None = None) -> None:
        limits = httpx2.Limits(max_connections=REST_CONNECTIONS_MAX)
        self._http = httpx2.AsyncClient(base_url=base_url, timeout=REST_TIMEOUT_S, limits=limits, trust_env=False)
        self._signer = Signer(credentials) if credentials is not None else None

    async def send(self, method: str, target: str, body: JsonObject | None = None) -> httpx2.Response:
        """Send one request and return the response whatever its status; the target is path and query."""
        content = b"" if body is None else _encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = self._http.build_request(method, target, content=content or None, headers=headers)
        if self._signer is not None:
            # What is signed is the target as it is sent, after the client's own quoting.
            timestamp, signature = self._signer.sign(method, request.url.raw_path.decode(), content)
            request.headers["X-API-Key"] = self._signer.credentials.key
            request.headers["X-API-Timestamp"] = timestamp
            request.headers["X-API-Signature"] = signature
        try:
            return await self._http.send(request)
        except httpx2.TransportError as error:
            raise ConnectionError(f"{method} {target}: {type(error).__name__} {error}") from error

    async def call(self, method: str, target: str, body: JsonObject | None = None) -> JsonObject:
        """Send one request and return the JSON object of a 2xx answer. Raises RequestRefused."""
        response = await self.send(method, target, body)
        answer: JsonObject = _decode(response.content) if response.content else {}
        if not response.is_success:
            raise RequestRefused({"status": response.status_code, **answer})
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class StreamSession:
    """One WebSocket session: requests with replies, and pushed frames in order. An async context manager."""

    def __init__(self, connection: ClientConnection, on_frame: Callable[[JsonObject], None] | None) -> None:
        self._connection = connection
        self._on_frame = on_frame
        self._ids = itertools.count(1)
        self._replies: dict[str, asyncio.Future[JsonObject]] = {}
        self._frames: asyncio.Queue[JsonObject | None] = asyncio.Queue(FRAMES_WAITING_MAX)
        self._reader = asyncio.create_task(self._read())
        self.closed = asyncio.Event()
        self.close_code: int | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        credentials: Credentials | None = None,
        *,
        on_frame: Callable[[JsonObject], None] | None = None,
    ) -> Self:
        """Open a session and authenticate it when there are credentials.

        Pushed frames go to `on_frame`, else they wait in `frames()`. Raises ConnectionError or RequestRefused.
        """
        try:
            connection = await connect(
                url, open_timeout=CONNECT_TIMEOUT_S, max_size=FRAME_BYTES_MAX, compression=None, proxy=None
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            raise ConnectionError(f"{url}: {error}") from error
        session = cls(connection, on_frame)
        try:
            if credentials is not None:
                timestamp, signature = Signer(credentials).sign("GET", urlsplit(url).path)
                await session.request("auth", key=credentials.key, timestamp=timestamp, signature=signature)
        except BaseException:
            await session.close()
            raise
        return session

    async def request(self, action: str, **members: Any) -> JsonObject:
        """Send an action and return its reply. Raises RequestRefused, ConnectionError, or TimeoutError."""
        return await asyncio.wait_for(self.begin(action, **members), REPLY_TIMEOUT_S)

    def begin(self, action: str, **members: Any) -> "asyncio.Future[JsonObject]":
        """Send an action and return its reply as a future, so that many can be under way in order."""
        reply: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        if self.closed.is_set():
            reply.set_exception(ConnectionError("the session is closed"))
            return reply
        number = str(next(self._ids))
        self._replies[number] = reply
        frame = _encode({"action": action, "id": number, **members}).decode()
        sending = asyncio.ensure_future(self._connection.send(frame))
        # A failed send ends the reader too, which fails every reply.
        sending.add_done_callback(lambda done: done.cancelled() or done.exception())
        return reply

    async def subscribe(self, *channels: str, **members: Any) -> JsonObject:
        """Subscribe to channels. Raises RequestRefused with the first channel's error if one failed."""
        answer = await self.request("subscribe", channels=list(channels), **members)
        for failure in answer.get("failed", []):
            raise RequestRefused(failure["error"])
        return answer

    async def frames(self) -> AsyncIterator[JsonObject]:
        """Yield pushed frames until the session ends."""
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def next_frame(self, kind: str | None = None, seconds: float = REPLY_TIMEOUT_S) -> JsonObject:
        """Return the next pushed frame, of one `type` if given. Raises ConnectionError or TimeoutError."""
        async with asyncio.timeout(seconds):
            while (frame := await self._frames.get()) is not None:
                if kind is None or frame.get("type") == kind:
                    return frame
        raise ConnectionError("the session ended")

    async def close(self) -> None:
        """Close the session."""
        await self._connection.close()
        # A fault of `on_frame` shows here.
        await self._reader

    async def _read(self) -> None:
        try:
            async for text in self._connection:
                self._dispatch(_decode(text))
        except (WebSocketException, asyncio.QueueFull, OSError):
            await self._connection.close()
        finally:
            self._end()

    def _dispatch(self, frame: JsonObject) -> None:
        reply = self._replies.pop(frame.get("id", ""), None)
        if reply is None:
            if self._on_frame is not None:
                self._on_frame(frame)
            else:
                self._frames.put_nowait(frame)
        elif not reply.done():
            if frame["type"] == "error":
                reply.set_exception(RequestRefused(frame["error"]))
            else:
                reply.set_result(frame)

    def _end(self) -> None:
        self.close_code = self._connection.close_code
        self.closed.set()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ConnectionError(f"the session ended with code {self.close_code}"))
                # Whoever gave up waiting need not be told again.
                reply.exception()
        self._replies.clear()
        if not self._frames.full():
            self._frames.put_nowait(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
