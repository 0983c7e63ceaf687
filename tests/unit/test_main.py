"""The application is made from what it is given, any number of times."""

from dataclasses import replace
from typing import Any

from starlette.websockets import WebSocket

from app.main import STREAM_PATH, create_app
from tests.unit.api.stack import running_stack


async def test_two_applications_share_nothing() -> None:
    async with running_stack() as one, running_stack() as two:
        one.market.applied = 7
        first = await one.client.get("/v1/ticker/BTC-USD")
        second = await two.client.get("/v1/ticker/BTC-USD")
    assert (first.json()["as_of_seq"], second.json()["as_of_seq"]) == (7, 90)


async def test_stream_is_mounted_when_given() -> None:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("welcome")

    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": STREAM_PATH, "headers": [], "query_string": b"", "subprotocols": []}
    async with running_stack() as stack:
        await create_app(replace(stack.services, stream=endpoint))(scope, receive, send)
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
        sent.clear()
        await stack.app(dict(scope), receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]
