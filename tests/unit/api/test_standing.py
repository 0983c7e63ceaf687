"""`/v1/limits` and `/v1/fees`: what the leader tells of an account, as text in the assets' scales."""

import asyncio
from typing import Any

import msgspec
import pytest

from app.domain.standing import AccountStanding, FeeStanding, LimitStanding
from app.errors import ApiError
from tests.unit.api.stack import BTC_USD, FakeInstruments, Stack, problem

USD = 10**10
TIERS = ((str(1_000 * USD), 50_000, 150_000), (str(5_000 * USD), -10_000, 300_000))


def told(*limits: LimitStanding, volume: int = 0, today: int = 0, engine_seq: int = 90) -> AccountStanding:
    return AccountStanding(engine_seq, limits, (FeeStanding("USD", str(volume), str(today), TIERS),))


async def get(stack: Stack, target: str) -> dict[str, Any]:
    response = await stack.client.get(target, headers=stack.bearer())
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=dict[str, Any])


async def test_use_and_headroom_are_in_the_units_of_each_limit(stack: Stack) -> None:
    stack.standings.told = told(
        LimitStanding("message_rate", "exchange", None, "100", "101"),
        LimitStanding("order_trade_ratio", "tier", None, "40", "1234"),
        LimitStanding("duplicate_window_ns", "account", None, "250000000", None),
        LimitStanding("daily_loss", "account", "USD", str(500 * USD), str(-3 * USD // 2)),
    )
    answer = await get(stack, "/v1/limits")
    assert (answer["as_of_seq"], answer["next_cursor"]) == (90, None)
    rows = [
        tuple(row[name] for name in ("limit", "level", "asset", "value", "used", "headroom")) for row in answer["data"]
    ]
    assert rows == [
        ("message_rate", "exchange", None, "100", "101", "-1"),
        ("order_trade_ratio", "tier", None, "40", "12.34", "27.66"),
        ("duplicate_window_ms", "account", None, "250", None, None),
        ("daily_loss", "account", "USD", "500", "-1.5", "501.5"),
    ]


@pytest.mark.parametrize(
    ("volume", "rates", "tier", "following"),
    [
        (0, ("0.001", "0.002"), 0, (1, "1000", "1000", "0.0005", "0.0015")),
        (1_000 * USD - 1, ("0.001", "0.002"), 0, (1, "1000", "0.0000000001", "0.0005", "0.0015")),
        (1_000 * USD, ("0.0005", "0.0015"), 1, (2, "5000", "4000", "-0.0001", "0.002")),
        (9_000 * USD, ("-0.0001", "0.002"), 2, None),
    ],
)
async def test_fees_are_the_lower_of_the_instruments_and_the_tiers_rates(
    stack: Stack, volume: int, rates: tuple[str, str], tier: int, following: tuple[Any, ...] | None
) -> None:
    stack.standings.told = told(volume=volume, today=7 * USD)
    listed = msgspec.structs.replace(BTC_USD, maker_fee=100_000, taker_fee=200_000)
    async with stack.with_services(instruments=FakeInstruments(listed)) as client:
        response = await client.get("/v1/fees", headers=stack.bearer())
    (row,) = response.json()["data"]
    assert (row["maker_fee"], row["taker_fee"], row["tier"]) == (*rates, tier)
    assert (row["symbol"], row["asset"], row["volume_today"]) == ("BTC-USD", "USD", "7")
    shown = row["next_tier"]
    names = ("tier", "volume", "missing", "maker_fee", "taker_fee")
    assert (None if shown is None else tuple(shown[name] for name in names)) == following


async def test_without_a_leader_fees_are_refused_and_may_be_asked_for_again(stack: Stack) -> None:
    refused = await stack.client.get("/v1/fees", headers=stack.bearer())
    assert (problem(refused).code, problem(refused).retryable) == ("engine_unavailable", True)
    assert refused.headers["retry-after"] == "1"


async def test_an_account_that_the_leader_does_not_know_is_not_found(stack: Stack) -> None:
    stack.standings.refusal = ApiError("not_found", "there is no such account")
    for target in ("/v1/fees", "/v1/limits"):
        assert problem(await stack.client.get(target, headers=stack.bearer())).code == "not_found"


async def test_a_sequence_that_the_leader_does_not_reach_is_refused(stack: Stack) -> None:
    stack.standings.told = told(engine_seq=89)
    for target in ("/v1/fees", "/v1/limits"):
        found = problem(await stack.client.get(f"{target}?min_seq=90", headers=stack.bearer()))
        assert (found.code, found.limit, found.actual) == ("not_caught_up", "90", "89")


async def test_who_waits_for_a_sequence_burdens_no_leader_meanwhile(stack: Stack) -> None:
    stack.standings.told = told(engine_seq=90)
    stack.market.patience_s = 0.2
    targets = [f"/v1/{name}?min_seq={10**18}" for name in ("fees", "limits")] * 10
    answers = await asyncio.gather(*(stack.client.get(target, headers=stack.bearer()) for target in targets))
    assert {problem(answer).code for answer in answers} == {"not_caught_up"}
    assert stack.standings.asked == len(answers)


async def test_the_leader_is_asked_again_once_the_replica_has_the_sequence(stack: Stack) -> None:
    stack.standings.told = told(engine_seq=90)
    reading = asyncio.create_task(get(stack, "/v1/limits?min_seq=92"))
    await stack.standings.heard.wait()
    stack.standings.told = told(engine_seq=92)
    stack.market.applied = 92
    assert ((await reading)["as_of_seq"], stack.standings.asked) == (92, 2)
