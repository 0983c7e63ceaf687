"""The clock, and the mode with its reasons."""

import re
import time

from app.protocol.modes import Finding, Mode, Part, status_of
from tests.unit.api.stack import Stack


async def test_time_is_the_servers_clock(stack: Stack) -> None:
    answer = (await stack.client.get("/v1/time")).json()
    assert abs(answer["timestamp_ms"] - time.time() * 1000) < 5_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", answer["server_time"])


async def test_mode_and_reasons_are_those_of_the_exchange(stack: Stack) -> None:
    stack.status = status_of([Finding(Part.DISK, Mode.CANCEL_ONLY, "nearly full")])
    answer = (await stack.client.get("/v1/status")).json()
    assert (answer["mode"], answer["reasons"]["disk"], answer["reasons"]["redis"]) == (
        "cancel_only",
        "nearly full",
        "ok",
    )
