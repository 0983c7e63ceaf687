"""Every malformed request is a 4xx problem with its exact code, repeats nothing, changes nothing, and is quick."""

import statistics
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.malformed_requests import JSON, MALFORMED_REQUESTS, MalformedRequest, order_body
from tests.unit.api.stack import ADMIN, Stack, problem

MEDIAN_SECONDS_MAX = 0.02
CREDENTIALS = {"authorization", "x-api-key"}
ECHO_CHARACTERS_MIN = 12


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for all rows: none of them may change anything, so none can disturb the next."""
    shared = Stack()
    yield shared
    shared.passwords.close()


async def send(stack: Stack, row: MalformedRequest) -> httpx2.Response:
    headers = dict(row.headers)
    if not CREDENTIALS & {name.lower() for name in headers}:
        headers |= stack.bearer(ADMIN)
    return await stack.client.request(row.method, row.path, headers=headers, content=row.body)


def test_table_is_long_enough_and_its_names_are_unique() -> None:
    assert len(MALFORMED_REQUESTS) >= 120
    names = [row.name for row in MALFORMED_REQUESTS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("row", MALFORMED_REQUESTS, ids=lambda row: row.name)
async def test_malformed_request_is_refused(stack: Stack, row: MalformedRequest) -> None:
    response = await send(stack, row)
    refused = problem(response)
    assert (refused.status, refused.code) == (row.status, row.code)
    assert 400 <= refused.status < 500
    assert stack.entry.calls == []
    assert stack.administration.calls == []
    assert (refused.status == 405) == ("allow" in response.headers)
    assert row.name == "content type ''" or len(response.content) < 1000
    if row.path == "/v1/orders" and row.method == "POST" and len(row.body) > ECHO_CHARACTERS_MIN:
        assert row.body[1:ECHO_CHARACTERS_MIN] not in response.content


async def test_good_request_beside_the_malformed_ones_is_taken(stack: Stack) -> None:
    before = len(stack.entry.calls)
    for body in (
        order_body(),
        order_body(price='"100.00"'),
        b" \t\r\n" + order_body() + b" ",
        order_body(label="null"),
    ):
        row = MalformedRequest("good", "POST", "/v1/orders", JSON, body, 201, "")
        assert (await send(stack, row)).status_code == 201
    for media_type in ("application/json; charset=utf-8", "Application/JSON", 'application/json;charset="UTF-8"'):
        row = MalformedRequest("good", "POST", "/v1/orders", {"Content-Type": media_type}, order_body(), 201, "")
        assert (await send(stack, row)).status_code == 201

    assert len(stack.entry.calls) - before == 7
    stack.entry.calls.clear()


async def test_malformed_requests_are_refused_quickly(stack: Stack) -> None:
    took = []
    for row in MALFORMED_REQUESTS:
        best = 1.0
        for _ in range(3):
            started = time.perf_counter()
            await send(stack, row)
            best = min(best, time.perf_counter() - started)
        took.append((best, row.name))
    assert statistics.median(seconds for seconds, _ in took) < MEDIAN_SECONDS_MAX
    # The best of three has no scheduler's pause in it, so a slow one is slow by itself.
    assert max(took)[0] < 0.05, f"slowest: {max(took)[1]}, {max(took)[0]:.3f} s"
