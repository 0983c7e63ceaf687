"""Public reads wait for what they must show, and say so when it does not come."""

import asyncio

from app.api import reads
from app.streaming.hub import MIN_SEQ_WAIT_S
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


async def test_read_gives_up_with_not_caught_up(stack: Stack) -> None:
    stack.market.patience_s = 0.05
    for path in ("/v1/ticker/BTC-USD", "/v1/orderbook/BTC-USD", "/v1/instruments", "/v1/status"):
        refused = problem(await stack.client.get(f"{path}?min_seq=91"))
        assert (refused.status, refused.code, refused.retryable) == (409, "not_caught_up", True)
        assert (refused.limit, refused.actual) == ("91", "90")


async def test_reads_that_wait_do_not_look_again_and_again(stack: Stack) -> None:
    stack.market.patience_s = 0.2
    paths = ("/v1/status", "/v1/ticker", "/v1/instruments")
    answers = await asyncio.gather(*(stack.client.get(f"{path}?min_seq={10**18}") for path in paths * 10))
    assert {problem(answer).code for answer in answers} == {"not_caught_up"}
    assert stack.market.looks <= len(answers)


def test_wait_is_two_seconds_at_most() -> None:
    assert reads.WAIT_SECONDS_MAX == MIN_SEQ_WAIT_S == 2.0
