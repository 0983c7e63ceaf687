"""Administration over REST: who may, what is passed on, and what repeating does."""

import pytest

from app.domain.identity import Principal
from tests.unit.api.stack import ADMIN, Stack, problem

DEPOSIT = {"asset": "USD", "amount": "100.50", "transfer_id": "t1"}
ROUTES = [
    ("POST", "/v1/admin/assets", {"asset": "USD", "scale": 10}, "create_asset"),
    (
        "POST",
        "/v1/admin/instruments",
        {"symbol": "BTC-USD", "base": "BTC", "quote": "USD", "tick_size": "0.01", "lot_size": "0.00000001"},
        "create_instrument",
    ),
    ("PATCH", "/v1/admin/instruments/BTC-USD", {"status": "halted"}, "edit_instrument"),
    ("POST", "/v1/admin/accounts", {"name": "alice"}, "create_account"),
    ("PATCH", "/v1/admin/accounts/1001", {"status": "frozen"}, "edit_account"),
    ("POST", "/v1/admin/accounts/1001/deposits", DEPOSIT, "deposit"),
    ("POST", "/v1/admin/accounts/1001/withdrawals", DEPOSIT, "withdraw"),
    ("POST", "/v1/admin/accounts/1001/transfers", DEPOSIT | {"to_account_id": "1002"}, "transfer"),
    ("PATCH", "/v1/admin/limits", {"open_orders": None}, "set_limits"),
    ("POST", "/v1/admin/instruments/BTC-USD/reference", {"price": "100"}, "set_reference"),
    ("POST", "/v1/admin/fee-tiers", {"asset": "USD", "tiers": []}, "set_fee_tiers"),
    ("POST", "/v1/admin/kill-switch", {"scope": "exchange", "on": True}, "set_kill_switch"),
]


@pytest.mark.parametrize(("method", "path", "body", "call"), ROUTES, ids=lambda value: str(value)[:40])
async def test_act_reaches_the_gateway_and_answers_its_sequence(
    stack: Stack, method: str, path: str, body: dict[str, object], call: str
) -> None:
    response = await stack.client.request(method, path, json=body, headers=stack.bearer(ADMIN))
    makes = method == "POST" and not call.startswith("set_")
    assert response.status_code == (201 if makes else 200)
    assert response.json()["engine_seq"] == 43
    assert [name for name, _ in stack.administration.calls] == [call]


@pytest.mark.parametrize(("method", "path", "body", "call"), ROUTES, ids=lambda value: str(value)[:40])
async def test_act_needs_the_scope_admin(
    stack: Stack, method: str, path: str, body: dict[str, object], call: str
) -> None:
    response = await stack.client.request(method, path, json=body, headers=stack.bearer())
    assert problem(response).code == "missing_scope"
    assert stack.administration.calls == []


@pytest.mark.parametrize("kind", ["deposits", "withdrawals"])
async def test_repeated_transfer_is_200_and_says_so(stack: Stack, kind: str) -> None:
    path = f"/v1/admin/accounts/1001/{kind}"
    answers = [await stack.client.post(path, json=DEPOSIT, headers=stack.bearer(ADMIN)) for _ in range(2)]
    assert [(answer.status_code, answer.json()["duplicate"]) for answer in answers] == [(201, False), (200, True)]
    assert answers[0].json() == {
        "account_id": "1001",
        "asset": "USD",
        "amount": "100.5",
        "transfer_id": "t1",
        "duplicate": False,
        "engine_seq": 43,
    }


async def test_signed_transfer_may_be_sent_again_even_without_redis(stack: Stack) -> None:
    stack.guard.is_down = True
    key = await stack.key(ADMIN)
    body = b'{"asset":"USD","amount":"1","transfer_id":"t1"}'
    path = "/v1/admin/accounts/1001/deposits"
    headers = stack.signed(key, "POST", path, body)
    assert [(await stack.client.post(path, content=body, headers=headers)).status_code for _ in range(2)] == [201, 200]


async def test_halting_an_instrument_works_without_redis(stack: Stack) -> None:
    stack.guard.is_down = True
    body = b'{"status":"halted"}'
    path = "/v1/admin/instruments/BTC-USD"
    headers = stack.signed(await stack.key(ADMIN), "PATCH", path, body)
    assert (await stack.client.patch(path, content=body, headers=headers)).status_code == 200


async def test_account_with_email_can_sign_in(stack: Stack) -> None:
    body = {"name": "alice", "email": "alice@example.com", "password": "correct horse"}
    first = await stack.client.post("/v1/admin/accounts", json=body, headers=stack.bearer(ADMIN))
    again = await stack.client.post("/v1/admin/accounts", json=body, headers=stack.bearer(ADMIN))
    assert (first.status_code, again.status_code, again.json()["duplicate"]) == (201, 200, True)
    pair = await stack.client.post("/v1/auth/login", json={"email": "Alice@example.com", "password": "correct horse"})
    assert pair.json()["account_id"] == first.json()["account_id"] == "1001"


async def test_engine_status_is_shown(stack: Stack) -> None:
    status = (await stack.client.get("/v1/admin/engine", headers=stack.bearer(ADMIN))).json()
    assert (status["term"], status["engine_seq"], status["mode"]) == (1, 43, "normal")


async def test_an_edit_answers_what_it_changed_and_nothing_else(stack: Stack) -> None:
    body: dict[str, object] = {
        "tier": None,
        "limits": {"open_orders": 5, "daily_loss": None},
        "stp_group": 7,
        "restricted": [],
    }
    response = await stack.client.patch("/v1/admin/accounts/1001", json=body, headers=stack.bearer(ADMIN))
    assert response.json() == {"account_id": "1001", **body, "engine_seq": 43}


async def test_changed_limits_are_answered_with_their_tier(stack: Stack) -> None:
    body = {"tier": "gold", "message_rate": 100, "order_notional": None}
    response = await stack.client.patch("/v1/admin/limits", json=body, headers=stack.bearer(ADMIN))
    limits = {"message_rate": 100, "order_notional": None}
    assert response.json() == {"tier": "gold", "limits": limits, "engine_seq": 43}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"open_orders": -1}, "open_orders"),
        ({"open_orders": "5"}, "open_orders"),
        ({"open_notional": 5}, "open_notional"),
        ({"open_notional": "5.5"}, "open_notional"),
        ({"open_notional": "1" + "0" * 30}, "open_notional"),
        ({"duplicate_window_ns": 5}, "duplicate_window_ns"),
        ({"tier": ""}, "tier"),
    ],
)
async def test_what_is_no_limit_is_refused_by_name(stack: Stack, body: dict[str, object], field: str) -> None:
    response = await stack.client.patch("/v1/admin/limits", json=body, headers=stack.bearer(ADMIN))
    assert problem(response).field == field
    assert stack.administration.calls == []


@pytest.mark.parametrize(
    ("path", "body", "call"),
    [
        ("/v1/withdrawals", DEPOSIT, "withdraw"),
        ("/v1/transfers", DEPOSIT | {"to_account_id": "1002"}, "transfer"),
    ],
)
async def test_an_account_moves_its_own_money_with_the_scope_transfer(
    stack: Stack, path: str, body: dict[str, str], call: str
) -> None:
    answers = [await stack.client.post(path, json=body, headers=stack.bearer()) for _ in range(2)]
    assert [(answer.status_code, answer.json()["duplicate"]) for answer in answers] == [(201, False), (200, True)]
    assert answers[0].json()["account_id"] == "1001"
    assert [(name, account_id) for name, (account_id, _) in stack.administration.calls] == [(call, 1001)] * 2
    assert stack.entry.acknowledged == 43
    trader = Principal(1001, frozenset({"read", "trade"}))
    refused = await stack.client.post(path, json=body, headers=stack.bearer(trader))
    assert problem(refused).code == "missing_scope"


@pytest.mark.parametrize("path", ["/v1/admin/accounts/1001", "/v1/admin/limits"])
async def test_an_edit_of_nothing_is_refused(stack: Stack, path: str) -> None:
    response = await stack.client.patch(path, json={}, headers=stack.bearer(ADMIN))
    assert (problem(response).code, stack.administration.calls) == ("invalid_request", [])
