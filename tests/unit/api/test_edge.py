"""Headers of every answer, and request ids."""

import re

import pytest

from app.api.edge import Edge
from app.api.rate_limits import Quotas, RateLimits
from tests.unit.api.stack import Stack


@pytest.mark.parametrize("request_id", ["a", "A-b_c.9", "x" * 64])
async def test_well_formed_request_id_is_kept(stack: Stack, request_id: str) -> None:
    response = await stack.client.get("/v1/time", headers={"X-Request-Id": request_id})
    assert response.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a b", "a\tb", "<script>", "a;b", "a/b", "\u00e9"])
async def test_malformed_request_id_is_replaced(stack: Stack, request_id: str) -> None:
    response = await stack.client.get("/v1/time", headers=[(b"X-Request-Id", request_id.encode("latin-1"))])
    assert re.fullmatch(r"[0-9a-f]{24}", response.headers["x-request-id"])


async def test_request_without_an_id_gets_one_of_its_own(stack: Stack) -> None:
    made = {(await stack.client.get("/v1/time")).headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5


async def test_two_request_ids_are_none(stack: Stack) -> None:
    response = await stack.client.get("/v1/time", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert response.headers["x-request-id"] not in ("a", "b")


@pytest.mark.parametrize("path", ["/v1/time", "/nothing", "/v1/balances", "/docs"])
async def test_every_answer_forbids_sniffing_and_names_no_server(stack: Stack, path: str) -> None:
    response = await stack.client.get(path)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "server" not in response.headers
    assert "x-powered-by" not in response.headers


async def test_answers_to_credentials_are_not_stored(stack: Stack) -> None:
    for headers in (stack.bearer(), {"X-API-Key": "ow_x"}):
        response = await stack.client.get("/v1/balances", headers=headers)
        assert response.headers["cache-control"] == "no-store"
    book = await stack.client.get("/v1/orderbook/BTC-USD", headers=stack.bearer())
    assert book.headers["cache-control"] == "no-store"


async def test_answers_with_tokens_are_not_stored(stack: Stack) -> None:
    body = {"email": "a@b", "password": "correct horse"}
    assert (await stack.client.post("/v1/auth/register", json=body)).status_code == 201
    response = await stack.client.post("/v1/auth/login", json=body)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"


async def test_failure_after_the_answer_began_is_not_papered_over() -> None:
    async def breaks(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]  # ASGI's send
        raise RuntimeError("broken off")

    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [], "path": "/", "method": "GET"}
    with pytest.raises(RuntimeError, match="broken off"):
        await Edge(breaks, RateLimits(Quotas()))(scope, None, send)  # type: ignore[arg-type]  # receives nothing
    assert len(sent) == 1


async def test_client_that_goes_away_while_sending_is_no_failure_of_ours(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/orders",
        "raw_path": b"/v1/orders",
        "query_string": b"",
        "headers": [],
    }
    await stack.app(scope, receive, send)
    assert sent == []
    assert caplog.records == []
