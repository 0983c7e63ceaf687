"""A revoked API key ends the sessions it opened, on every replica and with one question for all keys."""

import asyncio
import time

import pytest

from app.auth.api_keys import ApiKeys
from app.auth.authenticator import CredentialsAuthenticator
from app.auth.secret_box import SecretBox
from app.auth.signatures import hmac_signature, signed_text
from app.auth.tokens import AccessTokens
from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol.close_codes import Close
from app.protocol.schemas import ApiKeyRequest
from app.streaming import key_watch
from app.streaming.session import STREAM_TARGET
from tests.unit.auth.memory_stores import MemoryKeyStore
from tests.unit.streaming.client import UNLIMITED, Client, replica_of
from tests.unit.streaming.exchange import ALICE, SYMBOL, Exchange

OWNER = Principal(ALICE, frozenset({"read", "trade"}))
ORDER = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1", "quantity": "1"}


class Vault:
    """API keys in one table, as the replica that revokes and the one that streams see them."""

    def __init__(self) -> None:
        self.store = MemoryKeyStore()
        self.elsewhere = ApiKeys(self.store, SecretBox("k" * 32))
        self.authenticator = CredentialsAuthenticator(AccessTokens("s" * 32), ApiKeys(self.store, SecretBox("k" * 32)))
        self.secrets: dict[str, str] = {}

    async def key(self) -> str:
        """Make a key that never expires."""
        created = await self.elsewhere.create(OWNER, ApiKeyRequest(name="bot", scopes=["read", "trade"]))
        assert created.secret is not None
        self.secrets[created.key] = created.secret
        return created.key

    async def authenticate(self, client: Client, key: str) -> None:
        """Authenticate a session by a key."""
        timestamp = time.time_ns() // 1_000_000
        text = signed_text(str(timestamp), "GET", STREAM_TARGET, b"")
        signature = hmac_signature(self.secrets[key], text)
        reply = await client.ask("auth", key=key, timestamp=timestamp, signature=signature)
        assert reply["type"] == "authenticated", reply


async def test_sessions_of_a_revoked_key_end_and_trade_no_more() -> None:
    vault = Vault()
    stolen, good = await vault.key(), await vault.key()
    async with replica_of(Exchange(), UNLIMITED, vault.authenticator) as replica:
        thief, owner = replica.client(), replica.client()
        await vault.authenticate(thief, stolen)
        await thief.subscribe("orders")
        await vault.authenticate(owner, good)
        await vault.elsewhere.revoke(OWNER, stolen)
        await replica.key_watch.look()
        await thief.send("order.place", id="1", order=ORDER)
        assert thief.session.close is Close.AUTHENTICATION_FAILED
        (refused,) = [frame for frame in thief.read() if frame["type"] == "error"]
        assert refused["error"]["code"] == "unauthenticated"
        assert replica.desk.begun == []
        assert (await owner.ask("order.place", order=ORDER))["type"] == "result"


async def test_running_watch_finds_a_revoked_key_after_a_question_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_watch, "KEY_CHECK_S", 0.001)
    vault = Vault()
    key = await vault.key()
    faults = [ApiError("service_unavailable", "no database"), OSError("no database")]
    answer = vault.store.unrevoked

    async def unrevoked(key_ids: list[str]) -> frozenset[str]:
        if faults:
            raise faults.pop()
        return await answer(key_ids)

    monkeypatch.setattr(vault.store, "unrevoked", unrevoked)
    async with replica_of(Exchange(), UNLIMITED, vault.authenticator) as replica:
        client = replica.client()
        await vault.authenticate(client, key)
        await vault.elsewhere.revoke(OWNER, key)
        watching = asyncio.create_task(replica.key_watch.run())
        await client.until(lambda frame: frame["type"] == "error")
        watching.cancel()
    assert client.session.close is Close.AUTHENTICATION_FAILED
    assert len(caplog.records) == 1


async def test_key_that_a_session_uses_no_more_does_not_end_it() -> None:
    vault = Vault()
    first, second = await vault.key(), await vault.key()
    async with replica_of(Exchange(), UNLIMITED, vault.authenticator) as replica:
        client, guest = replica.client(), replica.client()
        await vault.authenticate(client, first)
        await vault.authenticate(client, second)
        await vault.authenticate(guest, first)
        await guest.ask("logout")
        await vault.elsewhere.revoke(OWNER, first)
        await replica.key_watch.look()
        assert (client.session.close, guest.session.close) == (None, None)
        await vault.elsewhere.revoke(OWNER, second)
        await replica.key_watch.look()
        assert (client.session.close, guest.session.close) == (Close.AUTHENTICATION_FAILED, None)


async def test_one_question_covers_all_sessions_and_none_is_left_to_ask_for_when_they_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_watch, "KEYS_ASKED_MAX", 4)
    vault = Vault()
    keys = [await vault.key() for _ in range(5)]
    async with replica_of(Exchange(), UNLIMITED, vault.authenticator) as replica:
        clients = [replica.client() for _ in range(20)]
        for number, client in enumerate(clients):
            await vault.authenticate(client, keys[number % 5])
        vault.store.reads = 0
        await replica.key_watch.look()
        assert vault.store.reads == 2
        for client in clients:
            client.session.detach()
        await replica.key_watch.look()
        assert vault.store.reads == 2
