"""Credentials: one kind, each header once, and the request target exactly as sent."""

import pytest
from starlette.requests import Request

from app.api.dependencies import request_target
from tests.unit.api.stack import Stack, problem


@pytest.mark.parametrize(
    ("raw_path", "query", "target"),
    [
        (b"/v1/orders", b"", "/v1/orders"),
        (b"/v1/orders", b"a=1&b=%20", "/v1/orders?a=1&b=%20"),
        (b"/v1/orders/by-client-id/a%3Ab", b"", "/v1/orders/by-client-id/a%3Ab"),
        (b"/v1/\xff", b"\xfe", "/v1/\xff?\xfe"),
    ],
)
def test_target_is_the_bytes_as_sent(raw_path: bytes, query: bytes, target: str) -> None:
    scope = {"type": "http", "raw_path": raw_path, "query_string": query, "path": "decoded", "headers": []}
    assert request_target(Request(scope)) == target


@pytest.mark.parametrize("name", ["X-API-Key", "X-API-Signature", "X-API-Timestamp", "Authorization"])
async def test_credential_header_may_come_once(stack: Stack, name: str) -> None:
    headers = stack.bearer() if name == "Authorization" else stack.signed(await stack.key(), "DELETE", "/v1/orders/7")
    twice = [*headers.items(), (name, headers[name])]
    assert problem(await stack.client.delete("/v1/orders/7", headers=twice)).code == "unauthenticated"
    assert stack.entry.calls == []
    assert (await stack.client.delete("/v1/orders/7", headers=headers)).status_code == 200


async def test_token_and_key_together_are_refused(stack: Stack) -> None:
    headers = stack.signed(await stack.key(), "DELETE", "/v1/orders/7") | stack.bearer()
    assert problem(await stack.client.delete("/v1/orders/7", headers=headers)).code == "unauthenticated"


async def test_scheme_is_read_in_any_case(stack: Stack) -> None:
    token = stack.bearer()["Authorization"].partition(" ")[2]
    response = await stack.client.delete("/v1/orders/7", headers={"Authorization": f"bearer {token}"})
    assert response.status_code == 200


async def test_key_limited_to_addresses_works_from_there_only(stack: Stack) -> None:
    # The test transport's client is 127.0.0.1.
    near = await stack.key(ip_allow=["127.0.0.0/8"])
    far = await stack.key(ip_allow=["10.0.0.0/8"])
    good = stack.signed(near, "DELETE", "/v1/orders/7")
    assert (await stack.client.delete("/v1/orders/7", headers=good)).status_code == 200
    bad = stack.signed(far, "DELETE", "/v1/orders/7") | {"X-Forwarded-For": "10.0.0.1"}
    assert problem(await stack.client.delete("/v1/orders/7", headers=bad)).code == "forbidden"
