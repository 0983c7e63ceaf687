"""Every malformed request is a 4xx problem with its exact code, repeats nothing, changes nothing, and is quick."""

import statistics
import time
from collections.abc import Iterator

import httpx2
import pytest

from app.domain.commands import Command
from app.domain.outcomes import Outcome
from tests.malformed_requests import MALFORMED_REQUESTS, MalformedRequest, order_body
from tests.unit.api.stack import ADMIN, Stack, problem, running_stack

MEDIAN_SECONDS_MAX = 0.02
SECONDS_MAX = 0.05
CREDENTIALS = {"authorization", "x-api-key"}
ECHO_CHARACTERS_MIN = 12


class NoEngine:
    """A link to nowhere: no malformed request may reach the engine."""

    async def submit(
        self, command: Command, *, session_id: str | None = None, deadline_ms: int | None = None
    ) -> Outcome:
        raise AssertionError(f"reached the engine: {command}")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for all rows: none of them may change anything, so none can disturb the next."""
    shared = Stack(link=NoEngine())
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
    assert stack.administration.calls == []
    assert (refused.status == 405) == ("allow" in response.headers)
    assert row.name == "content type ''" or len(response.content) < 1000
    if row.path == "/v1/orders" and row.method == "POST" and len(row.body) > ECHO_CHARACTERS_MIN:
        assert row.body[1:ECHO_CHARACTERS_MIN] not in response.content


async def test_good_request_beside_the_malformed_ones_is_taken() -> None:
    plain = [order_body(), order_body(price='"100.00"'), b" \t\r\n" + order_body() + b" ", order_body(label="null")]
    media_types = ["application/json; charset=utf-8", "Application/JSON", 'application/json;charset="UTF-8"']
    rows = [("application/json", body) for body in plain] + [(media_type, plain[0]) for media_type in media_types]
    async with running_stack() as stack:
        for media_type, body in rows:
            row = MalformedRequest("good", "POST", "/v1/orders", {"Content-Type": media_type}, body, 201, "")
            assert (await send(stack, row)).status_code == 201
        assert len(stack.entry.calls) == len(rows)


async def test_malformed_requests_are_refused_quickly(stack: Stack) -> None:
    took = {row.name: await seconds_of(stack, row) for row in MALFORMED_REQUESTS}
    assert statistics.median(took.values()) < MEDIAN_SECONDS_MAX
    # A busy machine may pause any of them; what is slow by itself is slow each time.
    for row in MALFORMED_REQUESTS:
        if took[row.name] >= SECONDS_MAX:
            took[row.name] = min([await seconds_of(stack, row) for _ in range(5)])
    assert {name: seconds for name, seconds in took.items() if seconds >= SECONDS_MAX} == {}


async def seconds_of(stack: Stack, row: MalformedRequest) -> float:
    started = time.perf_counter()
    await send(stack, row)
    return time.perf_counter() - started
