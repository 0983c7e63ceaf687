"""Passwords: Argon2id, bounded work, and nothing told about unknown users."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher, extract_parameters

from app.auth.passwords import PRODUCTION_PROFILE, TEST_PROFILE, THREADS, Passwords
from app.errors import ApiError


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    service = Passwords(TEST_PROFILE, waiting_max=1)
    yield service
    service.close()


async def test_password_fits_its_hash_only(passwords: Passwords) -> None:
    encoded = await passwords.hash("correct horse")
    assert encoded.startswith("$argon2id$")
    assert await passwords.verify(encoded, "correct horse")
    assert not await passwords.verify(encoded, "correct hors")


async def test_equal_passwords_get_different_hashes(passwords: Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_unknown_user_never_passes_not_even_with_the_dummy_password(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "no password has this hash")


async def test_damaged_hash_never_passes(passwords: Passwords) -> None:
    assert not await passwords.verify("not a hash", "correct horse")


def test_production_profile_is_at_least_the_published_floor() -> None:
    assert PRODUCTION_PROFILE.memory_kib >= 19 * 1024
    assert PRODUCTION_PROFILE.passes >= 2


async def test_unknown_user_costs_the_same_hash_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Passwords(TEST_PROFILE)
    encoded = await service.hash("correct horse")
    hashed: list[str] = []
    real = PasswordHasher.verify

    def verify(hasher: PasswordHasher, stored: str, password: str) -> bool:
        hashed.append(stored)
        return real(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    for candidate in (encoded, None):
        assert not await service.verify(candidate, "wrong password")
    service.close()
    # Two hashes of equal cost: the clock cannot tell whether the user exists.
    known, unknown = (extract_parameters(stored) for stored in hashed)
    assert known == unknown


async def test_full_queue_is_refused_with_a_time_to_come_back(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(passwords, "_fits", lambda *_: release.wait(10))
    running = [asyncio.create_task(passwords.verify("x", "y")) for _ in range(THREADS + 1)]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as caught:
        await passwords.verify("x", "y")
    assert (caught.value.code, caught.value.retry_after_ms) == ("service_unavailable", 1000)
    release.set()
    await asyncio.gather(*running)
    await asyncio.sleep(0)
    assert await passwords.verify("x", "y")


async def test_abandoned_login_keeps_its_place_until_its_hash_is_done(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(passwords, "_fits", lambda *_: release.wait(10))
    running = [asyncio.create_task(passwords.verify("x", "y")) for _ in range(THREADS)]
    await asyncio.sleep(0.05)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    waiting = asyncio.create_task(passwords.verify("x", "y"))
    await asyncio.sleep(0)
    with pytest.raises(ApiError):
        await passwords.verify("x", "y")
    release.set()
    assert await waiting
