"""The public API as a target: WebSocket sessions, or HTTP connections with one request each."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from app.dev.client import STREAM_PATH, Signer
from app.dev.credentials import Credentials
from app.load.flow import Place, Request, Trader, order_body
from app.load.open_loop import Observer
from app.load.wire import Refused, RestWire, StreamWire, Wire, frame, place_frame, signed_request

RECONNECT_S = 0.1

_encode = msgspec.json.Encoder().encode


class _Order(msgspec.Struct):
    order_id: str | None = None


class _Problem(msgspec.Struct):
    code: str = "unreadable"


class _Answer(msgspec.Struct):
    """What is looked at of an answer: REST answers with the order itself, the stream has it in a member."""

    order_id: str | None = None
    order: _Order | None = None
    code: str | None = None
    error: _Problem | None = None


_answer = msgspec.json.Decoder(_Answer)


class Lane:
    """One connection of one trader; opened again whenever it ends."""

    def __init__(self, observer: Observer, symbol: str, trader: Trader, url: str, credentials: Credentials) -> None:
        self._observer = observer
        self._symbol = symbol
        self._trader = trader
        self._url = url
        self._credentials = credentials
        self._wire: Wire | None = None
        self._waiting: dict[int, Request] = {}
        self._reopening: asyncio.Task[None] | None = None
        self.reconnects = 0

    async def open(self) -> None:
        """Connect. Raises Refused, OSError, or TimeoutError."""
        wire = await self._connect()
        wire.on_answer, wire.on_refusal, wire.on_lost = self._answered, self._refused, self._lost
        self._wire = wire

    def can_send(self) -> bool:
        """Return whether a request can leave now."""
        return self._wire is not None

    def send(self, number: int) -> None:
        """Send the trader's next request."""
        assert self._wire is not None, "asked before can_send"  # noqa: S101  # the caller's duty
        request = self._trader.next_request()
        self._waiting[number] = request
        self._wire.write(self._encoded(number, request))

    def give_up(self, number: int) -> None:
        """Forget a request, if it is one of this lane's."""
        self._waiting.pop(number, None)

    async def close(self) -> None:
        """Close the connection."""
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.gather(self._reopening, return_exceptions=True)
        if self._wire is not None:
            self._wire.on_lost = lambda _: None
            self._wire.close()

    async def _connect(self) -> Wire:
        raise NotImplementedError

    def _encoded(self, number: int, request: Request) -> bytes:
        raise NotImplementedError

    def _number(self, number: int) -> int:
        """Return the number of the request that an answer belongs to."""
        return number

    def _answered(self, number: int, body: bytes) -> None:
        number = self._number(number)
        request = self._waiting.pop(number, None)
        if request is not None:
            answer = _decoded(body)
            order_id = answer.order_id if answer.order is None else answer.order.order_id
            self._trader.acknowledged(request, None if order_id is None else int(order_id))
        self._observer.acknowledged(number)

    def _refused(self, number: int, body: bytes) -> None:
        number = self._number(number)
        self._waiting.pop(number, None)
        answer = _decoded(body)
        code = answer.code if answer.error is None else answer.error.code
        self._observer.refused(number, code or "unreadable")

    def _lost(self, _: Exception) -> None:
        if self._wire is None:
            return
        self._wire.close()
        self._wire = None
        waiting, self._waiting = self._waiting, {}
        for number in waiting:
            self._observer.lost(number)
        self._reopening = asyncio.create_task(self._reopen())

    async def _reopen(self) -> None:
        while self._wire is None:
            await asyncio.sleep(RECONNECT_S)
            try:
                await self.open()
            except (OSError, TimeoutError, Refused):
                continue
        self.reconnects += 1
        self._observer.ready()


class StreamLane(Lane):
    """A WebSocket session; any number of requests under way."""

    async def _connect(self) -> Wire:
        return await StreamWire.connect(self._url, self._credentials)

    def _encoded(self, number: int, request: Request) -> bytes:
        if isinstance(request, Place):
            return place_frame(number, _encode(order_body(self._symbol, request)))
        cancel = {"action": "order.cancel", "id": str(number), "order_id": str(request.order_id)}
        return frame(_encode(cancel))


class RestLane(Lane):
    """An HTTP connection; one request under way."""

    async def _connect(self) -> Wire:
        self._signer = Signer(self._credentials)
        return await RestWire.connect(self._url)

    def can_send(self) -> bool:
        """Return whether the connection is there and free."""
        return super().can_send() and not self._waiting

    def give_up(self, number: int) -> None:
        """Close the connection: a late answer would be taken for the next one's."""
        if number in self._waiting:
            super().give_up(number)
            self._lost(TimeoutError())

    def _encoded(self, number: int, request: Request) -> bytes:
        host = urlsplit(self._url).netloc
        if isinstance(request, Place):
            return signed_request(self._signer, host, "POST", "/v1/orders", _encode(order_body(self._symbol, request)))
        return signed_request(self._signer, host, "DELETE", f"/v1/orders/{request.order_id}")

    def _number(self, number: int) -> int:
        return next(iter(self._waiting), -1)


class ApiTarget:
    """Lanes in turn, each on one of the replicas."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = list(lanes)
        self._next = 0

    async def open(self) -> None:
        """Connect all lanes. Raises Refused, OSError, or TimeoutError."""
        for lane in self._lanes:
            await lane.open()

    def can_send(self) -> bool:
        """Return whether a lane can take a request now; that one is next."""
        for step in range(len(self._lanes)):
            place = (self._next + step) % len(self._lanes)
            if self._lanes[place].can_send():
                self._next = place
                return True
        return False

    def send(self, number: int) -> None:
        """Send on the next lane."""
        self._lanes[self._next].send(number)
        self._next = (self._next + 1) % len(self._lanes)

    def give_up(self, number: int) -> None:
        """Forget a request that was not answered in time."""
        for lane in self._lanes:
            lane.give_up(number)

    @property
    def reconnects(self) -> int:
        """How often a lane was opened again."""
        return sum(lane.reconnects for lane in self._lanes)

    async def close(self) -> None:
        """Close all lanes."""
        for lane in self._lanes:
            await lane.close()


def stream_url(rest_url: str) -> str:
    """Return the stream's URL of a replica."""
    return "ws" + rest_url.removeprefix("http") + STREAM_PATH


def _decoded(body: bytes) -> _Answer:
    try:
        return _answer.decode(body)
    except msgspec.MsgspecError:
        return _Answer()
