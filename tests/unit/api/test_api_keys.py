"""Keys over REST: made, used, listed, revoked."""

import msgspec

from tests.unit.api.stack import ADMIN, Stack, problem

BODY = {"name": "bot", "scopes": ["read", "trade"]}


async def test_new_key_signs_requests_until_it_is_revoked(stack: Stack) -> None:
    created = await stack.client.post("/v1/api-keys", json=BODY, headers=stack.bearer())
    assert created.status_code == 201
    key = msgspec.convert(created.json(), type=type(await stack.key()))
    headers = stack.signed(key, "DELETE", "/v1/orders/7")
    assert (await stack.client.delete("/v1/orders/7", headers=headers)).status_code == 200
    revoked = await stack.client.delete(f"/v1/api-keys/{key.key}", headers=stack.bearer())
    assert revoked.json()["revoked_at"] is not None
    headers = stack.signed(key, "DELETE", "/v1/orders/7")
    assert problem(await stack.client.delete("/v1/orders/7", headers=headers)).code == "unauthenticated"


async def test_list_shows_keys_without_secrets(stack: Stack) -> None:
    created = (await stack.client.post("/v1/api-keys", json=BODY, headers=stack.bearer())).json()
    response = await stack.client.get("/v1/api-keys", headers=stack.bearer())
    (shown,) = response.json()["data"]
    assert shown["key"] == created["key"]
    assert created["secret"].encode() not in response.content


async def test_key_with_more_than_the_callers_scopes_is_refused(stack: Stack) -> None:
    response = await stack.client.post("/v1/api-keys", json=BODY | {"scopes": ["admin"]}, headers=stack.bearer())
    refused = problem(response)
    assert (refused.code, refused.field) == ("missing_scope", "scopes")


async def test_other_accounts_key_is_404(stack: Stack) -> None:
    key = await stack.key()
    refused = problem(await stack.client.delete(f"/v1/api-keys/{key.key}", headers=stack.bearer(ADMIN)))
    assert (refused.status, refused.code) == (404, "not_found")


async def test_signature_makes_one_key_only(stack: Stack) -> None:
    raw = msgspec.json.encode(BODY)
    headers = stack.signed(await stack.key(), "POST", "/v1/api-keys", raw)
    assert (await stack.client.post("/v1/api-keys", content=raw, headers=headers)).status_code == 201
    assert problem(await stack.client.post("/v1/api-keys", content=raw, headers=headers)).code == "replayed_request"


async def test_no_key_is_made_by_signature_without_redis(stack: Stack) -> None:
    key = await stack.key()
    before = len(await stack.keys.of_account(1001))
    stack.guard.is_down = True
    raw = msgspec.json.encode(BODY)
    headers = stack.signed(key, "POST", "/v1/api-keys", raw)
    refused = problem(await stack.client.post("/v1/api-keys", content=raw, headers=headers))
    assert (refused.status, refused.code) == (503, "service_unavailable")
    assert len(await stack.keys.of_account(1001)) == before
