"""The clock, and the mode with its reasons."""

import re
import time

import pytest

from tests.unit.api.stack import Stack


async def test_time_is_the_servers_clock(stack: Stack) -> None:
    answer = (await stack.client.get("/v1/time")).json()
    assert abs(answer["timestamp_ms"] - time.time() * 1000) < 5_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", answer["server_time"])


@pytest.mark.parametrize(
    ("broken", "mode"),
    [({}, "normal"), ({"redis": "x"}, "degraded"), ({"engine": "x"}, "read_only"), ({"database": "x"}, "read_only")],
)
async def test_mode_follows_from_what_is_broken(stack: Stack, broken: dict[str, str], mode: str) -> None:
    stack.ready = not broken
    stack.reasons |= broken
    answer = (await stack.client.get("/v1/status")).json()
    assert (answer["mode"], answer["reasons"]) == (mode, stack.reasons)
