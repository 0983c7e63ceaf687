"""Cancel on disconnect: what the engine is told to guard, and which sessions the leader hears of."""

from typing import Any

import pytest

from app.domain.enums import DisconnectScope
from app.domain.identity import SessionKey
from app.errors import ApiError
from app.link.frames import Hold
from app.streaming import disconnects
from tests.unit.streaming.client import Client, Replica, replica_of
from tests.unit.streaming.exchange import ALICE, BOB, Exchange

SESSION, ACCOUNT = DisconnectScope.SESSION, DisconnectScope.ACCOUNT


def key_of(client: Client, account_id: int = ALICE) -> SessionKey:
    return SessionKey(account_id, client.session.id)


def told(replica: Replica) -> list[tuple[str, str]]:
    """Return what the leader heard since the last time, by session."""
    heard, replica.told[:] = list(replica.told), []
    return [
        ("hold" if isinstance(message, Hold) else "release", session.session_id)
        for message in heard
        for session in message.sessions
    ]


async def code_of(client: Client, **members: Any) -> str | None:
    reply = await client.ask("session", **members)
    return reply["error"]["code"] if reply["type"] == "error" else None


async def test_a_session_that_asks_for_it_is_guarded_and_its_loss_is_told() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        reply = await client.ask("session", cancel_on_disconnect="session", grace_ms=0)
        assert reply == {"type": "result", "id": "ask"}
        assert replica.desk.guards == {key_of(client): (SESSION, 0)}
        assert told(replica) == [("hold", client.session.id)]
        client.session.detach()
        assert told(replica) == [("release", client.session.id)]
        assert replica.desk.guards == {key_of(client): (SESSION, 0)}, "only the leader may end it"


async def test_without_asking_nothing_is_guarded_and_off_ends_it() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        assert await code_of(client, grace_ms=5) is None
        assert (replica.desk.begun, told(replica)) == ([], [])
        await client.ask("session", cancel_on_disconnect="session")
        assert replica.desk.guards == {key_of(client): (SESSION, disconnects.GRACE_MS_DEFAULT)}
        await client.ask("session", cancel_on_disconnect="off")
        assert replica.desk.guards == {}
        assert told(replica) == [("hold", client.session.id), ("release", client.session.id)]


async def test_what_is_left_out_stays_and_what_changes_is_guarded_anew() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        await client.ask("session", cancel_on_disconnect="account", grace_ms=7)
        await client.ask("session", grace_ms=8)
        await client.ask("session", cancel_on_disconnect="session")
        await client.ask("session")
        assert [what[1:] for _, what in replica.desk.begun] == [(ACCOUNT, 7), (ACCOUNT, 8), (SESSION, 8)]
        assert told(replica) == [("hold", client.session.id)]


async def test_logging_out_changes_nothing_and_another_account_is_guarded_beside_the_first() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        await client.ask("session", cancel_on_disconnect="session", grace_ms=0)
        await client.ask("logout")
        await client.ask("auth", token="bob")
        await client.ask("session", cancel_on_disconnect="session", grace_ms=1)
        assert replica.desk.guards == {key_of(client): (SESSION, 0), key_of(client, BOB): (SESSION, 1)}
        told(replica)
        client.session.detach()
        assert told(replica) == [("release", client.session.id)] * 2


async def test_an_adopted_session_is_answered_for_by_the_one_that_adopted_it() -> None:
    async with replica_of(Exchange()) as here, replica_of(Exchange()) as there:
        there.desk.guards = here.desk.guards
        first, second = await here.client_of("alice"), await there.client_of("alice")
        await first.ask("session", cancel_on_disconnect="session", grace_ms=60_000)
        first.session.detach()
        assert await code_of(second, cancel_on_disconnect="session", grace_ms=0, adopt=first.session.id) is None
        assert here.desk.guards == {key_of(first): (SESSION, 0), key_of(second): (SESSION, 0)}
        assert told(there) == [("hold", first.session.id), ("hold", second.session.id)]
        second.session.detach()
        assert told(there) == [("release", first.session.id), ("release", second.session.id)]


async def test_adopting_without_a_guard_lets_the_orders_stay() -> None:
    async with replica_of(Exchange()) as replica:
        first, second = await replica.client_of("alice"), await replica.client_of("alice")
        await first.ask("session", cancel_on_disconnect="session")
        first.session.detach()
        assert await code_of(second, adopt=first.session.id) is None
        assert replica.desk.guards == {}
        assert replica.holds.count == 0


async def test_what_is_not_guarded_cannot_be_adopted_and_nothing_is_left_of_the_attempt() -> None:
    async with replica_of(Exchange()) as replica:
        lost, other = await replica.client_of("alice"), await replica.client_of("bob")
        await lost.ask("session", cancel_on_disconnect="session")
        before = dict(replica.desk.guards)
        assert await code_of(other, cancel_on_disconnect="session", adopt=lost.session.id) == "not_found"
        assert await code_of(lost, adopt="nobody") == "not_found"
        assert replica.desk.guards == before
        assert replica.holds.count == 1


async def test_one_session_answers_for_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disconnects, "ANSWERED_MAX", 2)
    async with replica_of(Exchange()) as replica:
        clients = [await replica.client_of("alice") for _ in range(3)]
        for client in clients:
            await client.ask("session", cancel_on_disconnect="session")
        last = clients[2]
        assert await code_of(last, adopt=clients[0].session.id) is None
        assert await code_of(last, adopt=clients[1].session.id) == "invalid_request"


async def test_who_may_not_cancel_all_that_it_would_has_nothing_to_set() -> None:
    async with replica_of(Exchange()) as replica:
        assert await code_of(await replica.client_of("reader"), cancel_on_disconnect="session") == "missing_scope"
        assert await code_of(replica.client(), cancel_on_disconnect="session") == "unauthenticated"
        limited = await replica.client_of("limited")
        assert await code_of(limited, cancel_on_disconnect="account") == "forbidden"
        assert await code_of(limited, cancel_on_disconnect="session") is None


async def test_what_the_engine_did_not_take_is_refused_and_can_be_asked_for_again() -> None:
    async with replica_of(Exchange()) as replica:
        client = await replica.client_of("alice")
        replica.desk.fault = ApiError("engine_unavailable", "no leader for the test")
        assert await code_of(client, cancel_on_disconnect="session") == "engine_unavailable"
        assert replica.holds.count == 0
        replica.desk.fault = None
        assert await code_of(client, cancel_on_disconnect="session") is None
        assert replica.holds.count == 1
