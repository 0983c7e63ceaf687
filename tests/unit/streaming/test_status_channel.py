"""The channel `status`: whole frames, to whoever subscribed, in one session with other channels."""

from collections.abc import AsyncIterator

import pytest

from app.protocol.modes import Finding, Mode, Part, status_of
from tests.unit.streaming.client import Replica, replica_of
from tests.unit.streaming.exchange import SYMBOL, Exchange

DISK = Finding(Part.DISK, Mode.CANCEL_ONLY, "nearly full")


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    async with replica_of(Exchange(SYMBOL)) as running:
        yield running


async def test_a_subscriber_gets_how_it_is_and_every_change(replica: Replica) -> None:
    replica.hub.show_status(status_of(()))
    client = replica.client()
    await client.subscribe("status")
    assert (await client.next("status"))["mode"] == "normal"
    replica.hub.show_status(status_of([DISK]))
    frame = await client.next("status")
    assert (frame["channel"], frame["mode"], frame["reasons"]["disk"]) == ("status", "cancel_only", "nearly full")


async def test_a_subscriber_before_the_first_look_gets_its_result(replica: Replica) -> None:
    client = replica.client()
    await client.subscribe("status")
    replica.hub.show_status(status_of([DISK]))
    assert (await client.next("status"))["mode"] == "cancel_only"


async def test_who_left_hears_no_more(replica: Replica) -> None:
    client = replica.client()
    replica.hub.show_status(status_of(()))
    await client.subscribe("status")
    await client.next("status")
    assert (await client.ask("unsubscribe", channels=["status"]))["channels"] == ["status"]
    replica.hub.show_status(status_of([DISK]))
    await client.ask("ping")
    assert [frame for frame in client.read() if frame["type"] == "status"] == []
