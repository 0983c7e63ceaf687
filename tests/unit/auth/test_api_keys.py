"""Keys: secrets shown once, revocation within the cache's lifetime, bounded memory."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.auth.api_keys import CACHE_TTL_MS, KEYS_PER_ACCOUNT_MAX, ApiKeys
from app.auth.secret_box import SecretBox
from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol.schemas import ApiKeyRequest
from tests.unit.auth.memory_stores import MemoryKeyStore

OWNER = Principal(account_id=1001, scopes=frozenset({"read", "trade"}))
STRANGER = Principal(account_id=1002, scopes=frozenset({"read", "trade", "admin"}))
REQUEST = ApiKeyRequest(name="bot", scopes=["read"])


class Bench:
    """Keys on a memory store and a clock moved by hand."""

    def __init__(self, cache_keys_max: int = 100) -> None:
        self.now = 1_700_000_000_000
        self.store = MemoryKeyStore()
        self.keys = ApiKeys(self.store, SecretBox("k" * 32), clock=lambda: self.now, cache_keys_max=cache_keys_max)


async def test_secret_is_shown_once_and_stored_encrypted() -> None:
    bench = Bench()
    created = await bench.keys.create(OWNER, REQUEST)
    assert created.secret is not None
    assert len(created.secret) >= 43
    stored = bench.store.keys[created.key]
    assert created.secret.encode() not in repr(stored).encode() + (stored.secret_encrypted or b"")
    (listed,) = await bench.keys.of_account(1001)
    assert not hasattr(listed, "secret")
    opened = await bench.keys.opened(created.key)
    assert opened is not None
    assert opened.secret == created.secret
    assert opened.principal == Principal(account_id=1001, scopes=frozenset({"read"}), key_id=created.key)


async def test_ed25519_key_has_no_secret_anywhere() -> None:
    bench = Bench()
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    created = await bench.keys.create(
        OWNER, ApiKeyRequest(name="b", scopes=["read"], public_key=base64.b64encode(public).decode())
    )
    assert (created.secret, created.algorithm) == (None, "ed25519")
    opened = await bench.keys.opened(created.key)
    assert opened is not None
    assert (opened.secret, opened.public_key) == (None, public)


async def test_revoked_key_is_refused_at_once_here_and_within_the_cache_time_elsewhere() -> None:
    bench = Bench()
    created = await bench.keys.create(OWNER, REQUEST)
    elsewhere = ApiKeys(bench.store, SecretBox("k" * 32), clock=lambda: bench.now)
    assert await elsewhere.opened(created.key) is not None
    revoked = await bench.keys.revoke(OWNER, created.key)
    assert revoked.revoked_at is not None
    assert await bench.keys.opened(created.key) is None
    bench.now += CACHE_TTL_MS - 1
    assert await elsewhere.opened(created.key) is not None
    bench.now += 1
    assert await elsewhere.opened(created.key) is None


async def test_revoking_again_keeps_the_first_time() -> None:
    bench = Bench()
    created = await bench.keys.create(OWNER, REQUEST)
    first = await bench.keys.revoke(OWNER, created.key)
    bench.now += 60_000
    assert await bench.keys.revoke(OWNER, created.key) == first


async def test_strangers_key_is_not_found() -> None:
    bench = Bench()
    created = await bench.keys.create(OWNER, REQUEST)
    for key_id in (created.key, "ow_nothing"):
        with pytest.raises(ApiError) as caught:
            await bench.keys.revoke(STRANGER, key_id)
        assert caught.value.code == "not_found"
    assert await bench.keys.opened(created.key) is not None


async def test_lesser_credentials_cannot_revoke_a_stronger_key() -> None:
    bench = Bench()
    created = await bench.keys.create(OWNER, ApiKeyRequest(name="b", scopes=["read", "trade"]))
    reader = Principal(account_id=1001, scopes=frozenset({"read"}))
    with pytest.raises(ApiError) as caught:
        await bench.keys.revoke(reader, created.key)
    assert caught.value.code == "missing_scope"


async def test_key_opens_until_it_expires_even_from_the_cache() -> None:
    bench = Bench()
    created = await bench.keys.create(
        OWNER, ApiKeyRequest(name="b", scopes=["read"], expires_at="2023-11-14T22:13:23Z")
    )
    assert await bench.keys.opened(created.key) is not None
    bench.now += 3_000
    assert await bench.keys.opened(created.key) is None


async def test_opened_key_is_read_once_per_cache_time() -> None:
    bench = Bench()
    created = await bench.keys.create(OWNER, REQUEST)
    for _ in range(100):
        await bench.keys.opened(created.key)
    assert bench.store.reads == 1
    bench.now += CACHE_TTL_MS
    await bench.keys.opened(created.key)
    assert bench.store.reads == 2


async def test_cache_is_bounded_and_unknown_keys_push_nothing_out() -> None:
    bench = Bench(cache_keys_max=2)
    first, second, third = [(await bench.keys.create(OWNER, REQUEST)).key for _ in range(3)]
    for key in (first, second):
        await bench.keys.opened(key)
    for number in range(50):
        assert await bench.keys.opened(f"ow_{number}") is None
    before = bench.store.reads
    await bench.keys.opened(first)
    assert bench.store.reads == before
    await bench.keys.opened(third)
    await bench.keys.opened(first)
    assert bench.store.reads == before + 1
    await bench.keys.opened(second)
    assert bench.store.reads == before + 2


async def test_key_made_by_a_key_inherits_its_address_list() -> None:
    bench = Bench()
    created = await bench.keys.create(OWNER, ApiKeyRequest(name="b", scopes=["read"], ip_allow=["10.0.0.0/8"]))
    opened = await bench.keys.opened(created.key)
    assert opened is not None
    child = await bench.keys.create(opened.principal, REQUEST)
    assert child.ip_allow == ["10.0.0.0/8"]


async def test_key_for_another_account_belongs_to_that_account() -> None:
    bench = Bench()
    created = await bench.keys.create(STRANGER, REQUEST, account_id=1001)
    assert bench.store.keys[created.key].account_id == 1001


async def test_number_of_usable_keys_is_limited() -> None:
    bench = Bench()
    created = [await bench.keys.create(OWNER, REQUEST) for _ in range(KEYS_PER_ACCOUNT_MAX)]
    with pytest.raises(ApiError) as caught:
        await bench.keys.create(OWNER, REQUEST)
    assert caught.value.limit == str(KEYS_PER_ACCOUNT_MAX)
    await bench.keys.revoke(OWNER, created[0].key)
    await bench.keys.create(OWNER, REQUEST)


async def test_revoked_keys_are_found_past_the_cache_and_opened_no_more() -> None:
    bench = Bench()
    kept, ended = [(await bench.keys.create(OWNER, REQUEST)).key for _ in range(2)]
    elsewhere = ApiKeys(bench.store, SecretBox("k" * 32), clock=lambda: bench.now)
    for key in (kept, ended):
        assert await elsewhere.opened(key) is not None
    await bench.keys.revoke(OWNER, ended)
    assert await elsewhere.revoked([kept, ended]) == {ended}
    assert await elsewhere.opened(ended) is None
    assert await elsewhere.opened(kept) is not None
