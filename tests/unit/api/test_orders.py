"""Order routes: statuses, what reaches the gateway, and which signatures are spent."""

import msgspec
import pytest

from app.errors import ApiError, LinkError
from app.protocol import schemas
from app.protocol.problems import problem_of
from tests.unit.api.stack import ALICE, Stack, problem, refused_with

BODY = {"symbol": "BTC-USD", "side": "buy", "type": "limit", "quantity": "1", "price": "100.00"}
RAW = msgspec.json.encode(BODY)


async def test_placed_order_is_201_with_its_sequence(stack: Stack) -> None:
    response = await stack.client.post("/v1/orders", json=BODY, headers=stack.bearer())
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.json()["engine_seq"] == 42
    ((name, request),) = stack.entry.calls
    assert (name, request.price, request.quantity) == ("place", "100.00", "1")


async def test_repeated_order_is_200_and_says_so(stack: Stack) -> None:
    answers = [
        await stack.client.post("/v1/orders", json=BODY | {"client_order_id": "a"}, headers=stack.bearer())
        for _ in range(2)
    ]
    assert [(answer.status_code, answer.json()["duplicate"]) for answer in answers] == [(201, False), (200, True)]


async def test_signed_order_is_taken(stack: Stack) -> None:
    key = await stack.key()
    headers = stack.signed(key, "POST", "/v1/orders", RAW)
    response = await stack.client.post("/v1/orders", content=RAW, headers=headers)
    assert response.status_code == 201


@pytest.mark.parametrize("path", ["/v1/orders?symbol=BTC-USD", "/v1/orders?symbol=BTC%2DUSD&label=a"])
async def test_signature_covers_path_and_query_as_sent(stack: Stack, path: str) -> None:
    key = await stack.key()
    assert (await stack.client.delete(path, headers=stack.signed(key, "DELETE", path))).status_code == 200
    bare = stack.signed(key, "DELETE", "/v1/orders")
    assert problem(await stack.client.delete(path, headers=bare)).code == "invalid_signature"


async def test_order_without_client_order_id_takes_its_signature_once(stack: Stack) -> None:
    headers = stack.signed(await stack.key(), "POST", "/v1/orders", RAW)
    assert (await stack.client.post("/v1/orders", content=RAW, headers=headers)).status_code == 201
    shouted = headers | {"X-API-Signature": headers["X-API-Signature"].upper(), "X-API-Recv-Window": "60000"}
    for again in (headers, shouted):
        refused = problem(await stack.client.post("/v1/orders", content=RAW, headers=again))
        assert refused.code == "replayed_request"
    assert len(stack.entry.calls) == 1


async def test_order_with_client_order_id_may_be_sent_again_as_it_is(stack: Stack) -> None:
    raw = msgspec.json.encode(BODY | {"client_order_id": "a"})
    headers = stack.signed(await stack.key(), "POST", "/v1/orders", raw)
    statuses = [(await stack.client.post("/v1/orders", content=raw, headers=headers)).status_code for _ in range(2)]
    assert statuses == [201, 200]


async def test_orders_go_on_without_redis(stack: Stack) -> None:
    stack.guard.is_down = True
    headers = stack.signed(await stack.key(), "POST", "/v1/orders", RAW)
    assert (await stack.client.post("/v1/orders", content=RAW, headers=headers)).status_code == 201


async def test_amend_without_version_takes_its_signature_once(stack: Stack) -> None:
    key = await stack.key()
    for body, second in ((b'{"price":"1"}', 401), (b'{"price":"1","if_version":1}', 200)):
        headers = stack.signed(key, "PATCH", "/v1/orders/7", body)
        statuses = [
            (await stack.client.patch("/v1/orders/7", content=body, headers=headers)).status_code for _ in range(2)
        ]
        assert statuses == [200, second]


async def test_cancel_may_always_be_sent_again(stack: Stack) -> None:
    key = await stack.key()
    for path in ("/v1/orders/7", "/v1/orders"):
        headers = stack.signed(key, "DELETE", path)
        for _ in range(2):
            assert (await stack.client.delete(path, headers=headers)).status_code == 200


async def test_cancel_all_passes_its_filters(stack: Stack) -> None:
    response = await stack.client.delete("/v1/orders?symbol=BTC-USD&side=sell&label=x", headers=stack.bearer())
    assert response.json()["engine_seq"] == 42
    assert stack.entry.calls == [("cancel_all", ("BTC-USD", "sell", "x", None))]


async def test_batch_may_be_sent_again_and_answers_each_order(stack: Stack) -> None:
    body = b'{"atomic":true,"orders":[%s,%s]}' % (RAW, RAW)
    headers = stack.signed(await stack.key(), "POST", "/v1/orders/batch", body)
    for _ in range(2):
        response = await stack.client.post("/v1/orders/batch", content=body, headers=headers)
        assert (response.status_code, response.json()["engine_seq"]) == (200, 42)
        assert [list(result) for result in response.json()["results"]] == [["order"], ["order"]]
    assert [(name, request.atomic, len(request.orders)) for name, request in stack.entry.calls] == [
        ("place_batch", True, 2)
    ] * 2


async def test_a_refusal_within_a_batch_names_the_request(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(*_: object) -> schemas.PlacedBatch:
        refused = problem_of(ApiError("no_liquidity", "nothing there"), None)
        return schemas.PlacedBatch(engine_seq=42, results=[schemas.BatchEntry(error=refused)])

    monkeypatch.setattr(stack.entry, "place_batch", refuses)
    headers = stack.bearer() | {"X-Request-Id": "mine"}
    answer = await stack.client.post("/v1/orders/batch", json={"orders": [BODY]}, headers=headers)
    assert answer.json()["results"][0]["error"]["request_id"] == "mine"


@pytest.mark.parametrize("count", [0, 51])
async def test_batch_of_none_or_too_many_orders_is_refused(stack: Stack, count: int) -> None:
    response = await stack.client.post("/v1/orders/batch", json={"orders": [BODY] * count}, headers=stack.bearer())
    assert problem(response).field == "orders"
    assert stack.entry.calls == []


async def test_cancel_after_answers_when_it_fires_and_takes_its_signature_once(stack: Stack) -> None:
    body = b'{"timeout_ms":5000,"symbols":["BTC-USD"],"keep_protective":true}'
    headers = stack.signed(await stack.key(), "POST", "/v1/cancel-after", body)
    armed = await stack.client.post("/v1/cancel-after", content=body, headers=headers)
    assert armed.json() == {"engine_seq": 42, "trigger_at": "2026-01-01T00:00:00.000000Z"}
    again = await stack.client.post("/v1/cancel-after", content=body, headers=headers)
    assert problem(again).code == "replayed_request"
    assert [call for call, _ in stack.entry.calls] == ["cancel_after"]


@pytest.mark.parametrize("wait", [-1, 300_001, 1.5, "5000", None])
async def test_senseless_timeout_arms_nothing(stack: Stack, wait: object) -> None:
    response = await stack.client.post("/v1/cancel-after", json={"timeout_ms": wait}, headers=stack.bearer())
    assert problem(response).field == "timeout_ms"
    assert stack.entry.calls == []


async def test_mistyped_filter_cancels_nothing(stack: Stack) -> None:
    refused = problem(await stack.client.delete("/v1/orders?symbols=BTC-USD", headers=stack.bearer()))
    assert (refused.status, refused.code, refused.field) == (422, "invalid_request", "symbols")
    assert stack.entry.calls == []


@pytest.mark.parametrize("option", ["validate=true", "validate_only=1", "validate_only=True", "validate_only="])
async def test_unknown_or_unreadable_option_places_nothing(stack: Stack, option: str) -> None:
    response = await stack.client.post(f"/v1/orders?{option}", json=BODY, headers=stack.bearer())
    assert problem(response).field == option.partition("=")[0]
    assert stack.entry.calls == []


async def test_validation_places_nothing_and_spends_no_signature(stack: Stack) -> None:
    target = "/v1/orders?validate_only=true"
    headers = stack.signed(await stack.key(), "POST", target, RAW)
    for _ in range(2):
        response = await stack.client.post(target, content=RAW, headers=headers)
        assert (response.status_code, response.json()["valid"]) == (200, True)
    assert [name for name, _ in stack.entry.calls] == ["check", "check"]
    placed = await stack.client.post("/v1/orders?validate_only=false", json=BODY, headers=stack.bearer())
    assert placed.status_code == 201


async def test_list_is_placed_once_and_canceled_by_its_id(stack: Stack) -> None:
    body = b'{"kind":"oco","orders":[%s,%s]}' % (RAW, RAW)
    headers = stack.signed(await stack.key(), "POST", "/v1/order-lists", body)
    placed = await stack.client.post("/v1/order-lists", content=body, headers=headers)
    assert (placed.status_code, placed.json()["order_list_id"]) == (201, "3")
    assert [order["order_list_id"] for order in placed.json()["orders"]] == ["3", "3"]
    again = await stack.client.post("/v1/order-lists", content=body, headers=headers)
    assert problem(again).code == "replayed_request"
    canceled = await stack.client.delete("/v1/order-lists/3", headers=stack.bearer())
    assert canceled.json()["engine_seq"] == 42
    assert stack.entry.calls[1:] == [("cancel_all", (None, None, None, "3"))]


@pytest.mark.parametrize("path", ["0", "x", "-1", "9" * 19, "1.0"])
async def test_what_cannot_be_the_id_of_a_list_is_not_found(stack: Stack, path: str) -> None:
    for method in ("GET", "DELETE"):
        response = await stack.client.request(method, f"/v1/order-lists/{path}", headers=stack.bearer())
        assert problem(response).code == "not_found"


async def test_refusal_of_the_engine_is_the_problem(stack: Stack) -> None:
    stack.entry.refusal = refused_with("insufficient_balance")
    refused = problem(await stack.client.post("/v1/orders", json=BODY, headers=stack.bearer()))
    assert (refused.status, refused.code) == (422, "insufficient_balance")


@pytest.mark.parametrize(("sent", "code"), [(True, "execution_unknown"), (False, "engine_unavailable")])
async def test_lost_link_says_whether_it_may_have_been_executed(stack: Stack, sent: bool, code: str) -> None:
    stack.entry.refusal = LinkError("gone", sent=sent)
    assert problem(await stack.client.post("/v1/orders", json=BODY, headers=stack.bearer())).code == code


async def test_reading_needs_the_scope_read_and_trading_the_scope_trade(stack: Stack) -> None:
    reader = stack.bearer(msgspec.structs.replace(ALICE, scopes=frozenset({"read"})))
    trader = stack.bearer(msgspec.structs.replace(ALICE, scopes=frozenset({"trade"})))
    assert problem(await stack.client.post("/v1/orders", json=BODY, headers=reader)).code == "missing_scope"
    assert problem(await stack.client.get("/v1/orders", headers=trader)).code == "missing_scope"


async def test_database_outage_is_a_retryable_503(stack: Stack) -> None:
    refused = problem(await stack.client.get("/v1/orders", headers=stack.bearer()))
    assert (refused.status, refused.code, refused.retryable) == (503, "service_unavailable", True)
