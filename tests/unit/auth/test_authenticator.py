"""Requests are attributed to exactly who signed them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.auth.api_keys import ApiKeys
from app.auth.authenticator import CredentialsAuthenticator
from app.auth.secret_box import SecretBox
from app.auth.signatures import hmac_signature, signed_text
from app.auth.tokens import AccessTokens
from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol.schemas import ApiKeyRequest
from tests.unit.auth.memory_stores import MemoryKeyStore

NOW = 1_700_000_000_000
OWNER = Principal(account_id=1001, scopes=frozenset({"read", "trade"}))
TOKENS = AccessTokens("s" * 32)


class Bench:
    """An authenticator with one HMAC key, and requests that differ from a good one in one part."""

    def __init__(self) -> None:
        self.keys = ApiKeys(MemoryKeyStore(), SecretBox("k" * 32), clock=lambda: NOW)
        self.authenticator = CredentialsAuthenticator(TOKENS, self.keys, clock=lambda: NOW)

    async def send(
        self,
        key: str,
        signature: str,
        *,
        timestamp: str = str(NOW),
        recv_window: str | None = None,
        method: str = "POST",
        target: str = "/v1/orders?a=%20b",
        body: bytes = b"{}",
        address: str | None = "10.0.0.1",
    ) -> Principal:
        return await self.authenticator.by_signature(
            key=key,
            timestamp=timestamp,
            recv_window=recv_window,
            signature=signature,
            method=method,
            target=target,
            body=body,
            address=address,
        )

    async def hmac_key(self, request: ApiKeyRequest | None = None) -> tuple[str, str]:
        created = await self.keys.create(OWNER, request or ApiKeyRequest(name="b", scopes=["read"]))
        assert created.secret is not None
        return created.key, created.secret


TEXT = signed_text(str(NOW), "POST", "/v1/orders?a=%20b", b"{}")


async def test_access_token_speaks_for_its_account() -> None:
    token, _ = TOKENS.issue(user_id=1, account_id=1001, scopes=frozenset({"read"}))
    assert (await Bench().authenticator.by_token(token)).account_id == 1001


async def test_signed_request_speaks_for_the_key() -> None:
    bench = Bench()
    key, secret = await bench.hmac_key()
    principal = await bench.send(key, hmac_signature(secret, TEXT))
    assert principal == Principal(account_id=1001, scopes=frozenset({"read"}), key_id=key)


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": str(NOW - 1)},
        {"method": "DELETE"},
        {"target": "/v1/orders?a= b"},
        {"target": "/v1/orders"},
        {"body": b"{} "},
        {"body": b""},
    ],
)
async def test_changed_request_does_not_match_its_signature(change: dict[str, str]) -> None:
    bench = Bench()
    key, secret = await bench.hmac_key()
    with pytest.raises(ApiError) as caught:
        await bench.send(key, hmac_signature(secret, TEXT), **change)  # type: ignore[arg-type]  # bytes or text per row
    assert caught.value.code == "invalid_signature"


async def test_signature_of_another_key_does_not_match() -> None:
    bench = Bench()
    key, _ = await bench.hmac_key()
    _, other_secret = await bench.hmac_key()
    with pytest.raises(ApiError) as caught:
        await bench.send(key, hmac_signature(other_secret, TEXT))
    assert caught.value.code == "invalid_signature"


async def test_ed25519_key_takes_its_own_kind_of_signature_only() -> None:
    bench = Bench()
    private = Ed25519PrivateKey.generate()
    public_key = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    created = await bench.keys.create(OWNER, ApiKeyRequest(name="b", scopes=["read"], public_key=public_key))
    good = base64.b64encode(private.sign(TEXT)).decode()
    assert (await bench.send(created.key, good)).account_id == 1001
    # The public key is public: it must not work as an HMAC secret.
    for forged in (hmac_signature(public_key, TEXT), hmac_signature("", TEXT), ""):
        with pytest.raises(ApiError) as caught:
            await bench.send(created.key, forged)
        assert caught.value.code == "invalid_signature"


@pytest.mark.parametrize("key", ["ow_unknown", "", "x" * 65, "a b", "\u0660", "../x", "a\x00"])
async def test_unknown_or_malformed_key_is_unauthenticated(key: str) -> None:
    with pytest.raises(ApiError) as caught:
        await Bench().send(key, "0" * 64)
    assert caught.value.code == "unauthenticated"


async def test_old_request_is_refused_before_the_key_is_looked_up() -> None:
    with pytest.raises(ApiError) as caught:
        await Bench().send("ow_unknown", "0" * 64, timestamp=str(NOW - 5001))
    assert caught.value.code == "timestamp_out_of_window"


async def test_window_may_be_widened_by_the_sender() -> None:
    bench = Bench()
    key, secret = await bench.hmac_key()
    old = str(NOW - 59_000)
    signature = hmac_signature(secret, signed_text(old, "POST", "/v1/orders?a=%20b", b"{}"))
    assert (await bench.send(key, signature, timestamp=old, recv_window="60000")).account_id == 1001


@pytest.mark.parametrize(("address", "code"), [("10.9.9.9", None), ("192.168.0.1", "forbidden"), (None, "forbidden")])
async def test_address_list_is_obeyed(address: str | None, code: str | None) -> None:
    bench = Bench()
    key, secret = await bench.hmac_key(ApiKeyRequest(name="b", scopes=["read"], ip_allow=["10.0.0.0/8"]))
    if code is None:
        assert (await bench.send(key, hmac_signature(secret, TEXT), address=address)).key_id == key
        return
    with pytest.raises(ApiError) as caught:
        await bench.send(key, hmac_signature(secret, TEXT), address=address)
    assert caught.value.code == code


async def test_address_list_is_not_told_to_strangers() -> None:
    bench = Bench()
    key, _ = await bench.hmac_key(ApiKeyRequest(name="b", scopes=["read"], ip_allow=["10.0.0.0/8"]))
    with pytest.raises(ApiError) as caught:
        await bench.send(key, "0" * 64, address="192.168.0.1")
    assert caught.value.code == "invalid_signature"
