"""Sessions: rotation, reuse, parallel tabs, and what strangers learn (nothing)."""

from collections.abc import Iterator

import pytest

from app.auth.login import PARALLEL_REFRESH_MS, REFRESH_LIFETIME_MS, LoginService, TokenPair
from app.auth.passwords import TEST_PROFILE, Passwords
from app.auth.tokens import AccessTokens
from app.errors import ApiError
from tests.unit.auth.memory_stores import MemoryUserStore

EMAIL, PASSWORD = "alice@example.com", "correct horse"
SECRET = "s" * 32


class Accounts:
    """Accounts by name, as the engine keeps them."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def create_account(self, name: str) -> tuple[int, int, bool]:
        existed = name in self.names
        if not existed:
            self.names.append(name)
        return 1001 + self.names.index(name), 7, existed


class Bench:
    """A login service on a memory store and a clock moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.users = MemoryUserStore()
        self.accounts = Accounts()
        self.passwords = Passwords(TEST_PROFILE)
        self.tokens = AccessTokens(SECRET)
        self.login = LoginService(
            self.users, self.accounts, self.tokens, self.passwords, refresh_secret=SECRET, clock=lambda: self.now
        )

    async def session(self) -> TokenPair:
        await self.login.register(EMAIL, PASSWORD)
        return await self.login.login(EMAIL, PASSWORD)

    async def refused(self, refresh_token: str) -> str:
        with pytest.raises(ApiError) as caught:
            await self.login.refresh(refresh_token)
        return caught.value.code


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.passwords.close()


async def test_registered_user_logs_in_to_own_account(bench: Bench) -> None:
    account_id, engine_seq = await bench.login.register(EMAIL.upper(), PASSWORD)
    pair = await bench.login.login(EMAIL, PASSWORD)
    principal = bench.tokens.verify(pair.access_token)
    assert (account_id, engine_seq) == (1001, 7)
    assert (principal.account_id, pair.account_id) == (1001, "1001")
    assert principal.scopes == frozenset({"read", "trade", "transfer"})
    assert "admin" not in pair.scopes


async def test_database_holds_neither_password_nor_refresh_token(bench: Bench) -> None:
    pair = await bench.session()
    kept = repr((bench.users.users, bench.users.tokens))
    assert PASSWORD not in kept
    assert pair.refresh_token not in kept


async def test_wrong_password_and_unknown_user_get_the_same_words(bench: Bench) -> None:
    await bench.login.register(EMAIL, PASSWORD)
    refusals = []
    for email, password in ((EMAIL, "wrong horse"), ("bob@example.com", PASSWORD)):
        with pytest.raises(ApiError) as caught:
            await bench.login.login(email, password)
        refusals.append((caught.value.code, caught.value.detail, caught.value.extras()))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == "unauthenticated"


async def test_email_is_registered_once(bench: Bench) -> None:
    await bench.login.register(EMAIL, PASSWORD)
    with pytest.raises(ApiError) as caught:
        await bench.login.register(EMAIL.title(), "another password")
    assert (caught.value.code, caught.value.field) == ("invalid_request", "email")


async def test_registration_that_was_cut_off_finds_its_account_again(bench: Bench) -> None:
    await bench.login.register(EMAIL, PASSWORD)
    bench.users.users.clear()
    account_id, _ = await bench.login.register(EMAIL, PASSWORD)
    assert account_id == 1001
    assert len(bench.accounts.names) == 1


async def test_added_user_signs_in_to_the_given_account_only(bench: Bench) -> None:
    for _ in range(2):
        await bench.login.add_user(EMAIL, PASSWORD, 1007)
    assert (await bench.login.login(EMAIL, PASSWORD)).account_id == "1007"
    with pytest.raises(ApiError):
        await bench.login.add_user(EMAIL, PASSWORD, 1008)


async def test_refresh_rotates(bench: Bench) -> None:
    first = await bench.session()
    second = await bench.login.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert bench.tokens.verify(second.access_token).account_id == 1001
    third = await bench.login.refresh(second.refresh_token)
    assert len({pair.refresh_token for pair in (first, second, third)}) == 3


async def test_reuse_of_an_old_token_revokes_the_family(bench: Bench) -> None:
    first = await bench.session()
    second = await bench.login.refresh(first.refresh_token)
    bench.now += PARALLEL_REFRESH_MS + 1
    assert await bench.refused(first.refresh_token) == "unauthenticated"
    assert await bench.refused(second.refresh_token) == "unauthenticated"


async def test_reuse_revokes_only_its_own_session(bench: Bench) -> None:
    first = await bench.session()
    other = await bench.login.login(EMAIL, PASSWORD)
    await bench.login.refresh(first.refresh_token)
    bench.now += PARALLEL_REFRESH_MS + 1
    await bench.refused(first.refresh_token)
    await bench.login.refresh(other.refresh_token)


async def test_second_tab_gets_the_same_successor(bench: Bench) -> None:
    first = await bench.session()
    one = await bench.login.refresh(first.refresh_token)
    bench.now += PARALLEL_REFRESH_MS
    two = await bench.login.refresh(first.refresh_token)
    assert one.refresh_token == two.refresh_token
    await bench.login.refresh(one.refresh_token)


async def test_old_token_is_a_thief_once_its_successor_was_used(bench: Bench) -> None:
    first = await bench.session()
    second = await bench.login.refresh(first.refresh_token)
    third = await bench.login.refresh(second.refresh_token)
    assert await bench.refused(first.refresh_token) == "unauthenticated"
    assert await bench.refused(third.refresh_token) == "unauthenticated"


async def test_logout_ends_the_session(bench: Bench) -> None:
    first = await bench.session()
    second = await bench.login.refresh(first.refresh_token)
    await bench.login.logout(second.refresh_token)
    assert await bench.refused(second.refresh_token) == "unauthenticated"
    await bench.login.logout("never issued")


async def test_refresh_token_ends_after_its_lifetime(bench: Bench) -> None:
    first = await bench.session()
    bench.now += REFRESH_LIFETIME_MS
    assert await bench.refused(first.refresh_token) == "token_expired"


async def test_unknown_refresh_token_is_refused(bench: Bench) -> None:
    assert await bench.refused("x" * 43) == "unauthenticated"
