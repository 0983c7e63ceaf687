"""Requests are counted by caller in whole windows, told on every answer, and refused beyond the quota."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from app.api import rate_limits
from app.api.openapi import document
from app.api.rate_limits import PUBLIC, Policy, Quotas, RateLimits, Spent
from tests.unit.api.stack import ADMIN, ALICE, Stack, problem
from tests.unit.auth.memory_stores import MemoryKeyStore

QUOTAS = Quotas(requests_per_s=3, logins_per_minute=2)
ORDER = {"symbol": "BTC-USD", "side": "buy", "type": "limit", "price": "100", "quantity": "1"}


class HandClock:
    """The time in seconds, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.25

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    made = HandClock()
    monkeypatch.setattr(rate_limits, "now_s", made)
    return made


@pytest.fixture
async def client(stack: Stack, clock: HandClock) -> AsyncIterator[httpx2.AsyncClient]:
    async with stack.with_services(rate_limits=RateLimits(QUOTAS)) as limited:
        yield limited


def told(response: httpx2.Response) -> tuple[str, str]:
    return response.headers["ratelimit-policy"], response.headers["ratelimit"]


async def statuses(client: httpx2.AsyncClient, count: int, *request: str, **options: Any) -> list[int]:
    return [(await client.request(*request, **options)).status_code for _ in range(count)]


async def test_every_answer_tells_the_quota_and_what_is_left_of_it(
    stack: Stack, client: httpx2.AsyncClient, clock: HandClock
) -> None:
    headers = stack.bearer()
    first = await client.post("/v1/orders", json=ORDER, headers=headers)
    assert (first.status_code, told(first)) == (201, ('"requests";q=3;w=1', '"requests";r=2;t=1'))
    refused = await client.post("/v1/orders", json=ORDER | {"side": "up"}, headers=headers)
    assert (refused.status_code, told(refused)[1]) == (400, '"requests";r=1;t=1')
    assert (await client.get("/v1/time")).headers["ratelimit"] == '"requests";r=2;t=1'


async def test_one_request_too_many_is_refused_until_the_window_is_over_and_never_reaches_the_engine(
    stack: Stack, client: httpx2.AsyncClient, clock: HandClock
) -> None:
    headers = stack.bearer()
    assert await statuses(client, 3, "POST", "/v1/orders", json=ORDER, headers=headers) == [201] * 3
    late = await client.post("/v1/orders", json=ORDER, headers=headers)
    found = problem(late)
    assert (found.code, found.retryable, found.limit, found.actual) == ("rate_limited", True, "3", "4")
    assert (found.retry_after_ms, late.headers["retry-after"]) == (750, "1")
    assert told(late)[1] == '"requests";r=0;t=1'
    assert len(stack.entry.calls) == 3
    clock.now_s += 0.75
    assert (await client.post("/v1/orders", json=ORDER, headers=headers)).status_code == 201


async def test_cancels_have_a_budget_of_their_own(stack: Stack, client: httpx2.AsyncClient) -> None:
    headers = stack.bearer()
    await statuses(client, 4, "POST", "/v1/orders", json=ORDER, headers=headers)
    for method, path, body in (
        ("DELETE", "/v1/orders/7", None),
        ("DELETE", "/v1/orders", None),
        ("POST", "/v1/cancel-after", {"timeout_ms": 5000}),
    ):
        response = await client.request(method, path, json=body, headers=headers)
        assert (response.status_code, told(response)[0]) == (200, '"cancels";q=3;w=1')
    assert problem(await client.request("DELETE", "/v1/orders/7", headers=headers)).code == "rate_limited"


async def test_each_key_each_account_and_each_address_counts_by_itself(
    stack: Stack, client: httpx2.AsyncClient
) -> None:
    keys = [await stack.key(), await stack.key()]
    for key in keys:
        answers = []
        for number in range(4):
            target = f"/v1/account?min_seq={number}"
            answers.append(await client.get(target, headers=stack.signed(key, "GET", target)))
        assert [answer.status_code == 429 for answer in answers] == [False, False, False, True]
    for principal in (ALICE, ADMIN):
        assert 429 not in await statuses(client, 3, "GET", "/v1/account", headers=stack.bearer(principal))
    assert await statuses(client, 4, "GET", "/v1/time") == [200, 200, 200, 429]


async def test_credentials_that_are_wrong_or_not_asked_for_count_for_the_address(
    stack: Stack, client: httpx2.AsyncClient
) -> None:
    forged = {"Authorization": "Bearer nothing"}
    assert await statuses(client, 2, "GET", "/v1/account", headers=forged) == [401, 401]
    assert await statuses(client, 2, "GET", "/v1/time", headers=stack.bearer()) == [200, 429]
    assert await statuses(client, 1, "GET", "/v1/account", headers=forged) == [429]
    assert await statuses(client, 1, "GET", "/nowhere") == [429]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("PUT", "/v1/orders", 405),
    ],
)
async def test_credentials_that_nobody_looks_at_count_for_the_address(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    sent = {"X-API-Key": "x"}
    assert await statuses(client, 4, method, path, headers=sent) == [status] * 3 + [429]
    late = await client.request(method, path, headers=sent)
    assert (problem(late).code, told(late)[1]) == ("rate_limited", '"requests";r=0;t=1')


async def test_too_many_unknown_keys_of_an_address_are_not_looked_up_but_seen_ones_go_on(
    stack: Stack, client: httpx2.AsyncClient, clock: HandClock
) -> None:
    store, target = stack.key_store, "/v1/orders/7"
    assert isinstance(store, MemoryKeyStore)
    seen = await stack.key()
    signed = stack.signed(seen, "DELETE", target)
    assert await statuses(client, 1, "DELETE", target, headers=signed) == [200]
    store.reads = 0
    for number in range(8):
        unknown = signed | {"X-API-Key": f"k{number}"}
        assert await statuses(client, 1, "DELETE", target, headers=unknown) == [401 if number < 3 else 429]
    assert store.reads == 3
    assert await statuses(client, 1, "DELETE", target, headers=signed) == [200]
    clock.now_s += 1
    assert await statuses(client, 1, "DELETE", target, headers=signed | {"X-API-Key": "k8"}) == [401]
    assert store.reads == 4


def test_the_public_paths_are_those_of_the_routes_that_ask_for_no_credentials(stack: Stack) -> None:
    for path, methods in document(stack.app)["paths"].items():
        for operation in methods.values():
            is_public = path.startswith(PUBLIC) or path in ("/healthz", "/readyz")
            assert bool(operation.get("security")) != is_public, path


async def test_logins_are_few_a_minute_from_one_address(
    stack: Stack, client: httpx2.AsyncClient, clock: HandClock
) -> None:
    person = {"email": "a@b", "password": "wrong horse"}
    assert await statuses(client, 3, "POST", "/v1/auth/login", json=person) == [401, 401, 429]
    late = await client.post("/v1/auth/register", json=person)
    assert (told(late)[0], late.headers["retry-after"]) == ('"logins";q=2;w=60', "20")
    assert (await client.post("/v1/auth/refresh", json={"refresh_token": "x" * 43})).status_code == 401
    clock.now_s += 20
    assert await statuses(client, 1, "POST", "/v1/auth/login", json=person) == [401]


async def test_probes_are_not_counted(client: httpx2.AsyncClient) -> None:
    answers = [await client.get("/healthz") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


async def test_without_quotas_nothing_is_counted_or_told(stack: Stack) -> None:
    response = await stack.client.get("/v1/time")
    assert "ratelimit" not in response.headers
    assert "ratelimit-policy" not in response.headers


@pytest.mark.parametrize(
    ("addresses", "is_one"),
    [
        (("10.0.0.1", "10.0.0.2"), False),
        (("2001:db8::1", "2001:db8::ffff:1"), True),
        (("2001:db8:0:1::1", "2001:db8:0:2::1"), False),
        (("::ffff:192.0.2.1", "::ffff:192.0.2.2"), False),
        (("::ffff:192.0.2.1", "192.0.2.1"), True),
        (("fe80::1%eth0", "fe80::2%eth0"), True),
    ],
)
async def test_an_ipv6_network_is_one_caller(
    stack: Stack, clock: HandClock, addresses: tuple[str, str], is_one: bool
) -> None:
    async with stack.with_services(rate_limits=RateLimits(QUOTAS)) as limited:
        seen = []
        for address in addresses:
            limited._transport.client = (address, 1)  # type: ignore[attr-defined]  # the transport made for tests
            seen.append((await limited.get("/v1/time")).headers["ratelimit"])
    assert (seen[1] == '"requests";r=1;t=1') == is_one


def test_beyond_the_bound_callers_share_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "SUBJECTS_MAX", 2)
    policy = Policy("requests", 3, 1)
    left = [dict(policy.spend(name, 10.0).headers)["RateLimit"] for name in ("a", "b", "c", "d", "a")]
    assert [text.split(";")[1] for text in left] == ["r=2", "r=2", "r=2", "r=1", "r=1"]


def test_what_other_replicas_counted_is_added_and_what_was_told_is_not_heard_twice() -> None:
    policy = Policy("requests", 10, 1)
    for _ in range(3):
        policy.spend("a", 10.0)
    assert policy.tell(9) == (10, {"a": 3})
    assert remaining(policy.spend("a", 10.1)) == 6
    policy.hear(10, "a", 3 + 2)
    assert remaining(policy.spend("a", 10.2)) == 3, "five of its own, two elsewhere"
    assert policy.tell(9) == (10, {"a": 2})
    policy.hear(10, "a", 5 + 2)
    assert remaining(policy.spend("a", 10.3)) == 2
    assert remaining(policy.spend("b", 10.3)) == 9


def test_a_window_that_is_over_is_neither_told_nor_heard() -> None:
    policy = Policy("requests", 10, 1)
    policy.spend("a", 10.9)
    policy.spend("a", 11.0)
    assert policy.tell(9) == (11, {"a": 1})
    policy.hear(10, "a", 8)
    assert remaining(policy.spend("a", 11.1)) == 8


def test_of_many_callers_some_wait_for_the_next_telling() -> None:
    policy = Policy("requests", 10, 1)
    for name in ("a", "b", "c", "a"):
        policy.spend(name, 10.0)
    assert [policy.tell(2)[1], policy.tell(2)[1], policy.tell(2)[1]] == [{"a": 2, "b": 1}, {"c": 1}, {}]


def remaining(spent: Spent) -> int:
    return int(dict(spent.headers)["RateLimit"].split(";")[1].removeprefix("r="))
