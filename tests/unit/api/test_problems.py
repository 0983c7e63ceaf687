"""One error object for every refusal, whoever raised it, without a word of the input."""

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from app.errors import ApiError, BusUnavailable, JournalUnavailable
from tests.malformed_requests import JSON, order_body
from tests.unit.api.stack import Stack, problem


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/orders", "DELETE, GET, POST"),
        ("PUT", "/v1/orders/7", "DELETE, GET, PATCH"),
        ("POST", "/v1/time", "GET"),
        ("GET", "/v1/auth/login", "POST"),
        ("PUT", "/v1/api-keys", "GET, POST"),
    ],
)
async def test_405_names_every_method_of_the_path(stack: Stack, method: str, path: str, allow: str) -> None:
    response = await stack.client.request(method, path)
    assert problem(response).code == "method_not_allowed"
    assert response.headers["allow"] == allow


async def test_404_is_a_problem(stack: Stack) -> None:
    refused = problem(await stack.client.get("/v1/nothing/here"))
    assert (refused.status, refused.code, refused.retryable, refused.type) == (
        404,
        "not_found",
        False,
        "/docs#not_found",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("side", "canary"), ("price", "canary"), ("symbol", "canary"), ("label", "canary canary"), ("deadline", "c" * 50)],
)
async def test_values_are_never_repeated(stack: Stack, field: str, value: str) -> None:
    body = order_body(**{field: f'"{value}"'})
    response = await stack.client.post("/v1/orders", content=body, headers=JSON | stack.bearer())
    assert problem(response).field == field
    assert value.encode() not in response.content


async def test_values_of_queries_and_paths_are_never_repeated(stack: Stack) -> None:
    for path in ("/v1/orders?side=canary", "/v1/canary", "/v1/ticker/CANARY", "/v1/orders?limit=canary"):
        response = await stack.client.get(path, headers=stack.bearer())
        assert problem(response).status in (400, 404)
        assert b"canary" not in response.content.lower()


async def test_retry_after_is_in_the_header_and_in_the_object(stack: Stack) -> None:
    stack.entry.refusal = ApiError("rate_limited", "Slow down.", retry_after_ms=1500)
    response = await stack.client.post("/v1/orders", content=order_body(), headers=JSON | stack.bearer())
    assert response.headers["retry-after"] == "2"
    assert problem(response).retry_after_ms == 1500


async def test_limit_and_actual_are_passed_on(stack: Stack) -> None:
    stack.entry.refusal = ApiError(
        "price_band", "Too far.", check="price_band", limit="110", actual="120", field="price"
    )
    refused = problem(await stack.client.post("/v1/orders", content=order_body(), headers=JSON | stack.bearer()))
    assert (refused.check, refused.limit, refused.actual, refused.field) == ("price_band", "110", "120", "price")


async def test_401_names_the_scheme(stack: Stack) -> None:
    response = await stack.client.get("/v1/balances")
    assert problem(response).code == "unauthenticated"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "outage",
    [
        BusUnavailable("x"),
        JournalUnavailable("x"),
        ConnectionRefusedError("x"),
        TimeoutError("x"),
        OperationalError("SELECT secret", {}, Exception("x")),
    ],
)
async def test_outage_of_a_dependency_is_503_without_its_words(stack: Stack, outage: Exception) -> None:
    stack.entry.refusal = outage
    response = await stack.client.post("/v1/orders", content=order_body(), headers=JSON | stack.bearer())
    refused = problem(response)
    assert (refused.status, refused.code, refused.retryable) == (503, "service_unavailable", True)
    assert response.headers["retry-after"] == "1"
    assert b"secret" not in response.content


async def test_mistake_of_ours_is_a_500_that_is_logged_and_not_told(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    stack.entry.refusal = ProgrammingError("SELECT secret", {}, Exception("canary"))
    response = await stack.client.post(
        "/v1/orders", content=order_body(), headers=JSON | stack.bearer() | {"X-Request-Id": "abc"}
    )
    refused = problem(response)
    assert (refused.status, refused.code, refused.request_id) == (500, "internal_error", "abc")
    assert b"secret" not in response.content
    assert b"canary" not in response.content
    (record,) = [record for record in caplog.records if record.name == "app.api.edge"]
    assert record.exc_info is not None
    assert record.__dict__["request_id"] == "abc"
