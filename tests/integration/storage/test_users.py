"""Users and their refresh tokens: one email once, one token once, a family as a whole."""

import asyncio
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.users import (
    RefreshToken,
    User,
    get_token,
    insert_token,
    insert_user,
    revoke_family,
    use_token,
    user_by_email,
    user_by_id,
)

AT_MS = 1_700_000_000_123


async def add_user(engine: AsyncEngine, email: str) -> User:
    assert await insert_user(engine, email=email, password_hash="argon", account_id=1001, scopes=("read",))
    user = await user_by_email(engine, email)
    assert user is not None
    return user


def token(user: User, family_id: UUID, token_hash: bytes) -> RefreshToken:
    return RefreshToken(token_hash, family_id, user.user_id, AT_MS, None, None)


async def test_a_user_is_found_by_email_in_any_case_and_by_id(engine: AsyncEngine) -> None:
    user = await add_user(engine, "Alice@Example.com")

    assert user == (user.user_id, "alice@example.com", "argon", 1001, ("read",))
    assert await user_by_email(engine, "ALICE@example.COM") == user
    assert await user_by_id(engine, user.user_id) == user
    assert await user_by_id(engine, 10**9) is None
    assert await user_by_email(engine, "nobody@example.com") is None


async def test_an_email_is_taken_once_whatever_its_case(engine: AsyncEngine) -> None:
    taken = await asyncio.gather(
        *(
            insert_user(engine, email=email, password_hash="h", account_id=number, scopes=())
            for number, email in enumerate(["bob@example.com", "BOB@example.com", "Bob@Example.com"])
        )
    )

    assert sorted(taken) == [False, False, True]


async def test_a_token_is_used_once_even_by_two_at_a_time(engine: AsyncEngine) -> None:
    user = await add_user(engine, "carol@example.com")
    await insert_token(engine, token(user, uuid4(), b"once"))

    used = await asyncio.gather(*(use_token(engine, b"once", at_ms=AT_MS + number) for number in range(3)))

    assert sorted(used) == [False, False, True]
    stored = await get_token(engine, b"once")
    assert stored is not None
    assert stored.used_at_ms == AT_MS + used.index(True)
    assert not await use_token(engine, b"nothing", at_ms=AT_MS)


async def test_a_token_inserted_again_stays_as_it_is(engine: AsyncEngine) -> None:
    user = await add_user(engine, "dave@example.com")
    first = token(user, uuid4(), b"again")
    await insert_token(engine, first)
    await use_token(engine, b"again", at_ms=AT_MS)

    await insert_token(engine, first)

    assert await get_token(engine, b"again") == first._replace(used_at_ms=AT_MS)


async def test_a_family_is_revoked_as_a_whole_and_alone(engine: AsyncEngine) -> None:
    user = await add_user(engine, "erin@example.com")
    stolen, other = uuid4(), uuid4()
    for family_id, token_hash in ((stolen, b"s1"), (stolen, b"s2"), (other, b"o1")):
        await insert_token(engine, token(user, family_id, token_hash))

    await revoke_family(engine, stolen, at_ms=AT_MS + 1)
    await revoke_family(engine, stolen, at_ms=AT_MS + 2)

    stored = [await get_token(engine, token_hash) for token_hash in (b"s1", b"s2", b"o1")]
    assert [row.revoked_at_ms for row in stored if row is not None] == [AT_MS + 1, AT_MS + 1, None]
    assert not await use_token(engine, b"s1", at_ms=AT_MS)
    assert await use_token(engine, b"o1", at_ms=AT_MS)
