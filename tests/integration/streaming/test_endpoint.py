"""The stream on real sockets: uvicorn as in production, a websockets client, frames and close codes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State
from websockets.uri import parse_uri

from app.streaming.endpoint import WS_SETTINGS, StreamEndpoint
from app.streaming.limits import SessionLimits
from app.streaming.liveness import StreamProtocol
from tests.unit.streaming.client import PATIENCE_S, UNLIMITED, Replica, replica_of, until
from tests.unit.streaming.client_book import ClientBook
from tests.unit.streaming.exchange import SYMBOL, Exchange

BOOK = f"orderbook:{SYMBOL}"


class Server:
    """One replica behind uvicorn."""

    def __init__(self, replica: Replica, url: str, state: ServerState) -> None:
        self.replica = replica
        self.connections = state.connections
        """What uvicorn holds open."""
        self.exchange = replica.exchange
        self.url = url

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[ClientConnection]:
        """Open a socket and read the welcome."""
        async with connect(self.url, compression=None, **options) as websocket:
            assert (await read(websocket))["type"] == "welcome"
            yield websocket


async def read(websocket: ClientConnection, frame_type: str | None = None) -> dict[str, Any]:
    """Return the next frame of a type."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            frame: dict[str, Any] = json.loads(await websocket.recv())
            if frame_type in (None, frame["type"]):
                return frame


async def send(websocket: ClientConnection, **message: Any) -> None:
    await websocket.send(json.dumps(message))


async def drained(websocket: ClientConnection) -> None:
    while True:
        await websocket.recv()


async def closed(websocket: ClientConnection) -> int | None:
    """Read until the end; returns the close code."""
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ConnectionClosed):
            await drained(websocket)
        await websocket.wait_closed()
    return websocket.close_code


@asynccontextmanager
async def serving(limits: SessionLimits = UNLIMITED, **settings: Any) -> AsyncIterator[Server]:
    async with replica_of(Exchange(), limits) as replica:
        endpoint = StreamEndpoint(
            replica.hub,
            replica.desk,
            replica.keys,
            replica.holds,
            allowed_origins=["https://good.example"],
            limits=limits,
        )
        app = Starlette(routes=[WebSocketRoute("/v1/stream", endpoint.serve)])
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, **WS_SETTINGS | settings))
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve(sockets=[sock]))
        await until(lambda: server.started)
        try:
            yield Server(replica, f"ws://127.0.0.1:{sock.getsockname()[1]}/v1/stream", server.server_state)
        finally:
            server.should_exit = True
            await running
            sock.close()


async def test_book_over_a_socket_equals_the_book() -> None:
    async with serving() as server, server.client() as websocket:
        await send(websocket, action="subscribe", id="1", channels=[BOOK])
        assert (await read(websocket))["type"] == "subscribed"
        book = ClientBook()
        for number in range(500):
            server.exchange.change([(50 + number % 30, number % 4)])
        while book.seq < 500:
            frame = await read(websocket)
            if frame["type"] in ("snapshot", "delta"):
                book.take(frame)
        assert book.gaps == 0
        expected = {f"{p / 100:g}": f"{q / 1000:g}" for p, q in server.exchange.books[SYMBOL].bids.items()}
        assert book.bids == expected


async def test_orders_and_private_events_share_the_socket() -> None:
    async with serving() as server, server.client() as websocket:
        await send(websocket, action="auth", id="1", token="alice")
        assert (await read(websocket))["type"] == "authenticated"
        await send(websocket, action="subscribe", id="2", channels=["orders"])
        await read(websocket, "snapshot")
        order = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1", "quantity": "1"}
        await send(websocket, action="order.place", id="3", order=order)
        assert (await read(websocket, "result"))["id"] == "3"
        server.exchange.place()
        assert (await read(websocket, "event"))["event"] == "order.accepted"


async def test_foreign_origin_is_refused_with_a_problem() -> None:
    async with serving() as server:
        with pytest.raises(InvalidStatus) as refused:
            async with server.client(origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403
        assert refused.value.response.headers["content-type"] == "application/problem+json"
        assert json.loads(refused.value.response.body)["code"] == "forbidden"


async def test_allowed_origin_and_no_origin_are_served() -> None:
    async with serving() as server, server.client(origin="https://good.example"), server.client():
        pass


async def test_one_session_too_many_is_told_to_come_back() -> None:
    async with serving(replace(UNLIMITED, sessions_max=1)) as server:
        async with server.client():
            with pytest.raises(InvalidStatus) as refused:
                async with server.client():
                    pass
            assert refused.value.response.status_code == 503
        await until(lambda: not server.replica.hub._members)
        async with server.client():
            pass


async def refused_with(server: Server, **options: Any) -> tuple[int, str, str | None]:
    """Return status, code and Retry-After of a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with server.client(**options):
            pass
    response = refused.value.response
    return response.status_code, json.loads(response.body)["code"], response.headers.get("Retry-After")


async def test_address_with_too_many_sockets_is_told_so_and_the_others_are_served() -> None:
    async with serving(replace(UNLIMITED, sessions_per_address=3)) as server, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(server.client())
        async with server.client():
            assert await refused_with(server) == (429, "rate_limited", "1")
            async with server.client(additional_headers={"X-Forwarded-For": "203.0.113.7"}):
                pass
        # The place of a socket that went is free again.
        await until(lambda: len(server.replica.hub._members) == 2)
        async with server.client():
            pass


async def test_sockets_that_come_at_the_same_time_are_counted_one_by_one() -> None:
    async with serving(replace(UNLIMITED, sessions_per_address=3)) as server:
        opened = await asyncio.gather(
            *(connect(server.url, compression=None) for _ in range(12)), return_exceptions=True
        )
        websockets = [one for one in opened if isinstance(one, ClientConnection)]
        assert len(websockets) == 3
        for websocket in websockets:
            await websocket.close()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (json.dumps({"action": "auth", "token": "nobody"}), 4001),
        (b"\x00binary", 4013),
        (json.dumps({"action": "ping", "id": "x" * 70_000}), 1009),
    ],
)
async def test_close_code_of_a_bad_message(message: str | bytes, code: int) -> None:
    async with serving() as server, server.client() as websocket:
        await websocket.send(message)
        assert await closed(websocket) == code


async def test_error_frame_leaves_before_the_close() -> None:
    async with serving() as server, server.client() as websocket:
        await send(websocket, action="auth", id="9", token="nobody")
        frame = await read(websocket)
        assert (frame["type"], frame["id"]) == ("error", "9")
        assert await closed(websocket) == 4001


async def test_peer_that_answers_no_ping_is_closed_with_4007_and_forgotten() -> None:
    async with serving(ws_ping_interval=0.05, ws_ping_timeout=0.1) as server:
        host, port = server.url.removeprefix("ws://").split("/")[0].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        peer = ClientProtocol(parse_uri(server.url))
        peer.send_request(peer.connect())
        writer.write(b"".join(peer.data_to_send()))
        async with asyncio.timeout(PATIENCE_S):
            while data := await reader.read(1 << 16):
                peer.receive_data(data)
                if peer.state is State.OPEN:
                    # The answers to its pings are made, and never sent.
                    peer.data_to_send()
            peer.receive_eof()
            await until(lambda: not server.replica.hub._members)
        writer.close()
        assert (peer.close_code, peer.close_reason) == (4007, "timeout")


async def test_peer_that_answers_its_pings_stays() -> None:
    async with serving(ws_ping_interval=0.05, ws_ping_timeout=0.1) as server, server.client() as websocket:
        await asyncio.sleep(0.4)
        await send(websocket, action="ping")
        assert (await read(websocket, "pong"))["type"] == "pong"


async def test_drain_says_goodbye_and_closes_1012() -> None:
    async with serving() as server, server.client() as websocket:
        draining = asyncio.create_task(server.replica.hub.drain(timeout_s=3))
        assert "reconnect_after_ms" in await read(websocket, "shutdown")
        assert await closed(websocket) == 1012
        await draining
        with pytest.raises(InvalidStatus):
            async with server.client():
                pass


async def test_reader_who_stops_is_dropped_and_the_other_gets_everything() -> None:
    limits = replace(UNLIMITED, fact_bytes_max=200_000, close_s=0.0)
    async with serving(limits) as server, server.client() as quick:
        # A reader who never reads: its kernel buffers fill, then ours.
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with server.client(max_queue=1, close_timeout=0.1, sock=connected(raw, server.url)) as slow:
            for websocket in (quick, slow):
                await send(websocket, action="subscribe", channels=[f"trades:{SYMBOL}"])
            await read(quick, "trades")
            await until(lambda: server.exchange.book_requests == 0 and len(server.replica.hub._members) == 2)
            seen = 0
            for round_number in range(1, 51):
                server.exchange.trade(count=1000)
                while seen < 1000 * round_number:
                    seen = int((await read(quick, "trades"))["trades"][-1]["trade_id"])
            async with asyncio.timeout(PATIENCE_S):
                while len(server.replica.hub._members) > 1:
                    await server.replica.ticked()
                    await asyncio.sleep(0.01)
            assert seen == 50_000


class QuickDrop(StreamProtocol):
    """Does not wait long for a peer."""

    drop_s = 0.05


@pytest.mark.parametrize(
    ("limits", "settings"),
    [
        pytest.param(replace(UNLIMITED, write_stuck_s=0.05, close_s=0.0), {}, id="what is written to it gets stuck"),
        pytest.param(replace(UNLIMITED, fact_bytes_max=200_000, close_s=0.0), {}, id="its backlog is too large"),
        pytest.param(UNLIMITED, {"ws_ping_interval": 0.6, "ws_ping_timeout": 0.1}, id="it answers no ping"),
    ],
)
async def test_peer_that_never_reads_leaves_no_connection_behind(
    limits: SessionLimits, settings: dict[str, float]
) -> None:
    async with serving(limits, ws=QuickDrop, **settings) as server, AsyncExitStack() as stack:
        # Closed in any case: the server waits for its peers when it stops.
        raw = stack.enter_context(socket.socket())
        raw.settimeout(PATIENCE_S)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connected(raw, server.url)
        peer = ClientProtocol(parse_uri(server.url))
        peer.send_request(peer.connect())
        raw.sendall(b"".join(peer.data_to_send()))
        while peer.state is not State.OPEN:
            peer.receive_data(await asyncio.to_thread(raw.recv, 1024))
        peer.send_text(json.dumps({"action": "subscribe", "channels": [f"trades:{SYMBOL}"]}).encode())
        raw.sendall(b"".join(peer.data_to_send()))
        market = server.replica.hub._market(SYMBOL)
        await until(lambda: any(member.is_live for member in market._trades.members))
        # More than the kernel and the transport take.
        for _ in range(100):
            server.exchange.trade(count=1000)
        async with asyncio.timeout(PATIENCE_S):
            while server.connections:
                await server.replica.ticked()
                await asyncio.sleep(0.01)
        await until(lambda: not server.replica.hub._members)


def connected(sock: socket.socket, url: str) -> socket.socket:
    """Return a socket connected to the server of a URL."""
    host, port = url.removeprefix("ws://").split("/")[0].split(":")
    sock.connect((host, int(port)))
    return sock


async def test_sockets_that_vanish_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        websockets = [await connect(server.url, compression=None) for _ in range(20)]
        for websocket in websockets:
            await send(websocket, action="subscribe", channels=[BOOK, f"trades:{SYMBOL}"])
        await until(lambda: len(server.replica.hub._members) == 20)
        for websocket in websockets:
            websocket.transport.abort()
        for number in range(50):
            server.exchange.change([(50 + number, 1)])
        await until(lambda: not server.replica.hub._members)
        await server.replica.applied()
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
