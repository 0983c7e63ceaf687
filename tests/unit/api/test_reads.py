"""Public reads wait for what they must show, and say so when it does not come."""

import asyncio

import pytest

from app.api import reads
from tests.unit.api.stack import Stack, problem


async def test_read_says_what_it_is_true_at(stack: Stack) -> None:
    for path in ("/v1/instruments", "/v1/instruments/BTC-USD", "/v1/ticker", "/v1/ticker/BTC-USD", "/v1/status"):
        assert (await stack.client.get(path)).json()["as_of_seq"] == 90, path


async def test_read_waits_until_the_sequence_is_applied(stack: Stack) -> None:
    reading = asyncio.create_task(stack.client.get("/v1/ticker/BTC-USD?min_seq=91"))
    await asyncio.sleep(0.05)
    assert not reading.done()
    stack.market.applied = 92
    assert (await reading).json()["as_of_seq"] == 92


async def test_read_gives_up_with_not_caught_up(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "WAIT_SECONDS_MAX", 0.05)
    for path in ("/v1/ticker/BTC-USD", "/v1/orderbook/BTC-USD", "/v1/instruments", "/v1/status"):
        refused = problem(await stack.client.get(f"{path}?min_seq=91"))
        assert (refused.status, refused.code, refused.retryable) == (409, "not_caught_up", True)
        assert (refused.limit, refused.actual) == ("91", "90")


def test_wait_is_two_seconds_at_most() -> None:
    assert reads.WAIT_SECONDS_MAX == 2.0
