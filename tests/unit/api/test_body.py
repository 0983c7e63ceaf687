"""Reading bodies: bounded in bytes and in time, whatever their length was said to be."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.api import body as body_module
from app.api.body import BODY_BYTES_DRAINED_MAX, BODY_BYTES_MAX
from tests.malformed_requests import JSON, order_body
from tests.unit.api.stack import Stack, problem


async def chunks(total: int, size: int, taken: list[int]) -> AsyncIterator[bytes]:
    """Yield spaces, and note how many were taken."""
    for _ in range(0, total, size):
        taken.append(size)
        yield b" " * size


async def test_body_of_exactly_the_bound_is_read(stack: Stack) -> None:
    raw = order_body()
    padded = raw + b" " * (BODY_BYTES_MAX - len(raw))
    response = await stack.client.post("/v1/orders", content=padded, headers=JSON | stack.bearer())
    assert response.status_code == 201


async def test_body_without_a_stated_length_is_bounded_too(stack: Stack) -> None:
    taken: list[int] = []
    response = await stack.client.post(
        "/v1/orders", content=chunks(2 * BODY_BYTES_MAX, 1024, taken), headers=JSON | stack.bearer()
    )
    assert problem(response).code == "message_too_big"
    # Read to its end, so that a client that is still sending sees the refusal on a usable connection.
    assert sum(taken) == 2 * BODY_BYTES_MAX
    assert "connection" not in response.headers


async def test_endless_body_is_given_up(stack: Stack) -> None:
    taken: list[int] = []
    response = await stack.client.post(
        "/v1/orders", content=chunks(100 * BODY_BYTES_DRAINED_MAX, 65536, taken), headers=JSON | stack.bearer()
    )
    assert problem(response).code == "message_too_big"
    assert response.headers["connection"] == "close"
    assert sum(taken) <= BODY_BYTES_DRAINED_MAX + 65536


async def test_huge_stated_length_is_refused_unread(stack: Stack) -> None:
    taken: list[int] = []
    response = await stack.client.post(
        "/v1/orders",
        content=chunks(1024, 1024, taken),
        headers=JSON | stack.bearer() | {"Content-Length": "9" * 30},
    )
    assert problem(response).code == "message_too_big"
    assert taken == []


async def test_trickling_body_is_given_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "BODY_SECONDS_MAX", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)
        yield b"}"

    response = await stack.client.post("/v1/orders", content=trickle(), headers=JSON | stack.bearer())
    refused = problem(response)
    assert (refused.status, refused.code) == (408, "invalid_request")
    assert response.headers["connection"] == "close"


async def test_stranger_learns_nothing_about_the_body(stack: Stack) -> None:
    for raw in (b"{", order_body(), b"[]"):
        assert problem(await stack.client.post("/v1/orders", content=raw, headers=JSON)).code == "unauthenticated"


@pytest.mark.parametrize(
    ("raw", "status", "field"),
    [
        (order_body(price="1"), 400, "price"),
        (order_body(extra="1"), 422, "extra"),
        (b'{"symbol":"BTC-USD"}', 400, "side"),
        (order_body()[:-1] + b',"price":"1"}', 422, "price"),
        (b"[]", 400, None),
    ],
)
async def test_refusal_names_the_field(stack: Stack, raw: bytes, status: int, field: str | None) -> None:
    refused = problem(await stack.client.post("/v1/orders", content=raw, headers=JSON | stack.bearer()))
    assert (refused.status, refused.field) == (status, field)
