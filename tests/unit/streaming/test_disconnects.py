"""Cancel on disconnect: whose orders are canceled when a socket is gone, and whose are not."""

import asyncio

import pytest

from app.errors import ApiError
from app.streaming.disconnects import Disconnects, Guard
from tests.unit.streaming.client import OrderDesk, Replica, replica_of, until
from tests.unit.streaming.exchange import ALICE, BOB, Exchange


def closed(replica: Replica) -> list[object]:
    """Return the sessions that the engine was asked to close."""
    return [what for call, what in replica.desk.begun if call == "close_session"]


async def test_orders_of_a_lost_session_are_canceled_when_it_asked_for_it() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        reply = await client.ask("session", cancel_on_disconnect="session", grace_ms=0)
        assert reply == {"type": "result", "id": "ask"}
        client.session.detach()
        await until(lambda: closed(replica) == [(ALICE, client.session.id)])


@pytest.mark.parametrize("settings", [[], ["session", "off"]])
async def test_orders_of_a_lost_session_stay_by_default_and_when_it_was_turned_off(settings: list[str]) -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        for setting in settings:
            await client.ask("session", cancel_on_disconnect=setting, grace_ms=0)
        client.session.detach()
        await replica.disconnects.stop()
        assert closed(replica) == []


async def test_logging_out_cancels_nothing_but_the_setting_stays() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        await client.ask("session", cancel_on_disconnect="session", grace_ms=0)
        await client.ask("logout")
        await asyncio.sleep(0.01)
        assert closed(replica) == []
        client.session.detach()
        await until(lambda: closed(replica) == [(ALICE, client.session.id)])


async def test_an_adopted_session_is_canceled_with_the_one_that_adopted_it() -> None:
    async with replica_of(Exchange()) as replica:
        first, second = await replica.client_of("alice"), await replica.client_of("alice")
        await first.ask("session", cancel_on_disconnect="session", grace_ms=60_000)
        first.session.detach()
        await second.ask("session", cancel_on_disconnect="session", grace_ms=0, adopt=first.session.id)
        await asyncio.sleep(0.01)
        assert closed(replica) == []
        second.session.detach()
        await until(lambda: len(closed(replica)) == 2)
        assert set(closed(replica)) == {(ALICE, first.session.id), (ALICE, second.session.id)}


async def test_only_a_lost_session_of_the_same_account_can_be_adopted() -> None:
    async with replica_of(Exchange()) as replica:
        lost, other, same = [await replica.client_of(name) for name in ("alice", "bob", "alice")]
        await lost.ask("session", cancel_on_disconnect="session", grace_ms=60_000)
        before = await same.ask("session", adopt=lost.session.id)
        lost.session.detach()
        stranger = await other.ask("session", adopt=lost.session.id)
        assert [reply["error"]["code"] for reply in (before, stranger)] == ["not_found", "not_found"]
        assert (await same.ask("session", adopt=lost.session.id))["type"] == "result"


async def test_who_may_not_trade_has_nothing_to_set() -> None:
    async with replica_of(Exchange()) as replica:
        reply = await (await replica.client_of("reader")).ask("session", cancel_on_disconnect="session")
        assert reply["error"]["code"] == "missing_scope"
        reply = await replica.client().ask("session", cancel_on_disconnect="session")
        assert reply["error"]["code"] == "unauthenticated"


async def test_an_engine_that_is_away_is_asked_again() -> None:
    desk = OrderDesk()
    desk.fault = ApiError("engine_unavailable", "no leader for the test")
    disconnects = Disconnects(desk)
    disconnects.lose(Guard(account_id=BOB, grace_ms=0, session_ids={"s"}))
    await until(lambda: len(desk.begun) >= 2)
    desk.fault = None
    await disconnects.stop()
    assert set(desk.begun) == {("close_session", (BOB, "s"))}


async def test_a_replica_that_stops_does_not_wait_for_the_grace() -> None:
    desk = OrderDesk()
    disconnects = Disconnects(desk)
    disconnects.lose(Guard(account_id=BOB, grace_ms=300_000, session_ids={"s"}))
    await asyncio.sleep(0)
    await disconnects.stop()
    assert desk.begun == [("close_session", (BOB, "s"))]
