"""A replica in one process with clients that read frames when told to: no sockets, no sleeps in tests."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from app.domain.enums import DisconnectScope, Side
from app.domain.identity import Principal, SessionKey
from app.errors import ApiError
from app.link.frames import Hold, Release
from app.link.holds import Holds
from app.protocol import schemas
from app.protocol.ports import Authenticator
from app.streaming.hub import Hub
from app.streaming.key_watch import KeyWatch
from app.streaming.limits import SessionLimits
from app.streaming.session import Session, SessionContext
from tests.unit.streaming.exchange import ALICE, BOB, Exchange

Frame = dict[str, Any]
PATIENCE_S = 3.0

UNLIMITED = SessionLimits(messages_per_s=None)


async def until(is_so: Callable[[], bool]) -> None:
    """Return when something has become true; the test fails if it does not in time."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110  # any condition, also ones that no event tells of
            await asyncio.sleep(0.002)


class KeyRing:
    """Implements `ports.Authenticator`: the token is the account's name."""

    def __init__(self) -> None:
        self.principals = {
            "alice": Principal(ALICE, frozenset({"read", "trade"})),
            "bob": Principal(BOB, frozenset({"read", "trade"})),
            "reader": Principal(ALICE, frozenset({"read"})),
            "trader": Principal(ALICE, frozenset({"trade"})),
            "limited": Principal(ALICE, frozenset({"trade"}), frozenset({"BTC-USD"})),
        }
        self.signed: list[dict[str, Any]] = []

    async def by_token(self, token: str) -> Principal:
        """Return the account of a name."""
        await asyncio.sleep(0)
        if token not in self.principals:
            raise ApiError("unauthenticated", "no such token")
        return self.principals[token]

    async def by_signature(self, **signed: Any) -> Principal:
        """Remember what was signed; the key is the name."""
        self.signed.append(signed)
        return await self.by_token(signed["key"])

    async def revoked_keys(self, key_ids: Collection[str]) -> frozenset[str]:
        """Return none."""
        return frozenset()


class OrderDesk:
    """Implements `ports.OrderEntry`: remembers the calls in the order they began, answers when released."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, Any]] = []
        self.guards: dict[SessionKey, tuple[DisconnectScope | None, int]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None
        self.in_flight = 0
        self.most_in_flight = 0

    async def place(
        self, principal: Principal, request: schemas.PlaceOrderRequest, *, session_id: str | None = None
    ) -> schemas.PlacedOrder:
        """Answer with an order of the request's client_order_id."""
        await self._begin("place", request.client_order_id)
        return schemas.PlacedOrder(**_order(request.client_order_id), fills=[], duplicate=False, book=None)

    async def cancel(
        self,
        principal: Principal,
        *,
        order_id: str | None = None,
        client_order_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrder:
        """Answer with the order."""
        await self._begin("cancel", order_id or client_order_id)
        return schemas.CanceledOrder(**_order(client_order_id), book=None)

    async def amend(
        self, principal: Principal, order_id: str, request: schemas.AmendOrderRequest, *, session_id: str | None = None
    ) -> schemas.AmendedOrder:
        """Answer with the order."""
        await self._begin("amend", order_id)
        return schemas.AmendedOrder(**_order(None), priority="kept", book=None)  # type: ignore[arg-type]  # its value

    async def cancel_all(
        self,
        principal: Principal,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        label: str | None = None,
        order_list_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrders:
        """Answer with one order."""
        await self._begin("cancel_all", symbol)
        return schemas.CanceledOrders(engine_seq=9, canceled=[schemas.Order(**_order(None))])

    async def place_batch(
        self, principal: Principal, request: schemas.BatchRequest, *, session_id: str | None = None
    ) -> schemas.PlacedBatch:
        """Answer each order with an order of its client_order_id."""
        names = [order.client_order_id for order in request.orders]
        await self._begin("place_batch", names)
        placed = [schemas.PlacedOrder(**_order(name), fills=[], duplicate=False, book=None) for name in names]
        return schemas.PlacedBatch(engine_seq=9, results=[schemas.BatchEntry(order=order) for order in placed])

    async def place_list(
        self, principal: Principal, request: schemas.OrderListRequest, *, session_id: str | None = None
    ) -> schemas.PlacedList:
        """Lists do not come over the stream."""
        raise NotImplementedError

    async def check(self, principal: Principal, request: schemas.PlaceOrderRequest) -> schemas.CheckedOrder:
        """Checks do not come over the stream."""
        raise NotImplementedError

    async def guard_session(
        self, key: SessionKey, scope: DisconnectScope | None, grace_ms: int, *, is_adopted: bool = False
    ) -> None:
        """Note the terms as the engine does."""
        await self._begin("guard_session", (key, scope, grace_ms))
        if is_adopted and key not in self.guards:
            raise ApiError("not_found", "no such guard", field="adopt")
        self.guards[key] = scope, grace_ms
        if scope is None:
            del self.guards[key]

    async def cancel_after(
        self, principal: Principal, request: schemas.CancelAfterRequest, *, session_id: str | None = None
    ) -> schemas.CancelAfter:
        """Answer with a disarmed switch."""
        await self._begin("cancel_after", request)
        return schemas.CancelAfter(9, None)

    def acknowledge(self, account_id: int, engine_seq: int) -> None:
        """Forget it."""

    def acknowledged_seq(self, account_id: int) -> int:
        """Return nothing acknowledged."""
        return 0

    async def _begin(self, call: str, what: Any) -> None:
        self.begun.append((call, what))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.wait()
        finally:
            self.in_flight -= 1
        if self.fault is not None:
            raise self.fault


def _order(client_order_id: str | None) -> dict[str, Any]:
    return {
        "order_id": "1",
        "client_order_id": client_order_id,
        "symbol": "BTC-USD",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "price": "1",
        "quantity": "1",
        "status": "open",
        "filled_quantity": "0",
        "remaining_quantity": "1",
        "average_price": None,
        "fees": "0",
        "version": 1,
        "reason": None,
        "label": None,
        "created_at": "t",
        "updated_at": "t",
        "engine_seq": 9,
    }


class Client:
    """One session and what it has read."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.frames: list[Frame] = []
        """Everything read and not yet looked at."""

    def read(self) -> list[Frame]:
        """Read what waits, as a fast reader's socket does; returns the frames not yet looked at, and forgets them."""
        self._drain()
        frames, self.frames = self.frames, []
        return frames

    async def until(self, wanted: Callable[[Frame], bool]) -> list[Frame]:
        """Read until a frame is wanted; returns all frames up to it and keeps the later ones."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._drain()
                for index, frame in enumerate(self.frames):
                    if wanted(frame):
                        found, self.frames = self.frames[: index + 1], self.frames[index + 1 :]
                        return found
                await asyncio.sleep(0.002)

    async def next(self, frame_type: str, channel: str | None = None) -> Frame:
        """Return the next frame of a type, and channel; others that came before it stay to be read."""
        found = await self.until(lambda frame: frame["type"] == frame_type and channel in (None, frame.get("channel")))
        self.frames[:0] = found[:-1]
        return found[-1]

    async def send(self, action: str, **members: Any) -> None:
        """Send a message."""
        await self.session.receive(json.dumps({"action": action, **members}))

    async def ask(self, action: str, **members: Any) -> Frame:
        """Send a message and return its reply, found by id."""
        await self.send(action, id="ask", **members)
        return (await self.until(lambda frame: frame.get("id") == "ask"))[-1]

    async def subscribe(self, *channels: str, **members: Any) -> Frame:
        """Subscribe and return the reply."""
        reply = await self.ask("subscribe", channels=list(channels), **members)
        assert reply["failed"] == [], reply
        return reply

    def _drain(self) -> None:
        outbox = self.session.outbox
        while True:
            while (text := outbox.take()) is not None:
                self.frames.append(json.loads(text))
            self.session.pump()
            if not len(outbox):
                return


class Replica:
    """A hub on an exchange, and its clients."""

    def __init__(
        self, exchange: Exchange, limits: SessionLimits = UNLIMITED, authenticator: Authenticator | None = None
    ) -> None:
        self.exchange = exchange
        self.keys = KeyRing()
        authenticator = authenticator or self.keys
        self.key_watch = KeyWatch(authenticator)
        self.desk = OrderDesk()
        self.clock_s = 0.0
        self.now_ns = time.time_ns()
        self.hub = Hub(open_bus=exchange.open_bus, sources=exchange.sources(), book_source=exchange)
        self.holds = Holds()
        self.told: list[Hold | Release] = []
        """What the leader heard of sessions."""
        self.holds.attach(self.told.append)
        self._context = SessionContext(
            hub=self.hub,
            holds=self.holds,
            authenticator=authenticator,
            order_entry=self.desk,
            key_watch=self.key_watch,
            limits=limits,
            clock_s=lambda: self.clock_s,
            now_ns=lambda: self.now_ns,
        )
        self.clients: list[Client] = []

    def client(self) -> Client:
        """Open a session."""
        client = Client(Session(self._context, address="127.0.0.1"))
        self.clients.append(client)
        return client

    async def client_of(self, name: str) -> Client:
        """Open a session of an account."""
        client = self.client()
        assert (await client.ask("auth", token=name))["type"] == "authenticated"
        return client

    async def applied(self, seq: int | None = None) -> None:
        """Wait until everything committed is applied."""
        await self.hub.wait_applied(self.exchange.head if seq is None else seq)

    async def ticked(self) -> None:
        """Let a second's tick happen."""
        await self.hub._tick()


@asynccontextmanager
async def replica_of(
    exchange: Exchange, limits: SessionLimits = UNLIMITED, authenticator: Authenticator | None = None
) -> AsyncIterator[Replica]:
    """Run a replica; by default an account's name is its token."""
    replica = Replica(exchange, limits, authenticator)
    await replica.hub.start()
    try:
        yield replica
    finally:
        for client in replica.clients:
            client.session.detach()
        await replica.hub.stop()
