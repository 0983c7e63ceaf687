"""People and keys over the real tables: what the memory stores of the unit tests promise, PostgreSQL keeps."""

import msgspec

from app.auth.api_keys import CreatedKey
from tests.integration.api.conftest import Market
from tests.unit.api.stack import ALICE, problem

PERSON = {"email": "Alice@Example.com", "password": "correct horse"}


async def test_session_rotates_and_ends_on_reuse(market: Market) -> None:
    client = market.stack.client
    assert (await client.post("/v1/auth/register", json=PERSON)).status_code == 201
    again = PERSON | {"email": "alice@example.com"}
    assert problem(await client.post("/v1/auth/register", json=again)).field == "email"
    first = (await client.post("/v1/auth/login", json=again)).json()
    second = (await client.post("/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
    tab = (await client.post("/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
    assert tab["refresh_token"] == second["refresh_token"]
    third = (await client.post("/v1/auth/refresh", json={"refresh_token": second["refresh_token"]})).json()
    # The second's successor is in use now, so the first one coming back is a thief.
    for token in (first, third):
        refused = await client.post("/v1/auth/refresh", json={"refresh_token": token["refresh_token"]})
        assert problem(refused).code == "unauthenticated"


async def test_key_signs_until_it_is_revoked(market: Market) -> None:
    stack = market.stack
    body = {
        "name": "bot \u00e9",
        "scopes": ["trade", "read"],
        "symbols": ["BTC-USD"],
        "ip_allow": ["127.0.0.0/8"],
        "expires_at": "2100-01-01T00:00:00Z",
    }
    created = (await stack.client.post("/v1/api-keys", json=body, headers=stack.bearer())).json()
    key = msgspec.convert(created, CreatedKey)
    shown = (await stack.client.get("/v1/api-keys", headers=stack.signed(key, "GET", "/v1/api-keys"))).json()
    assert shown["data"] == [{name: value for name, value in created.items() if name != "secret"}]
    assert shown["data"][0]["expires_at"] == "2100-01-01T00:00:00.000000Z"
    path = f"/v1/api-keys/{key.key}"
    assert (await stack.client.delete(path, headers=stack.bearer())).json()["revoked_at"] is not None
    refused = await stack.client.get("/v1/api-keys", headers=stack.signed(key, "GET", "/v1/api-keys"))
    assert problem(refused).code == "unauthenticated"


async def test_damaged_secret_in_the_table_is_our_fault_not_a_pass(market: Market) -> None:
    stack = market.stack
    one, two = [await stack.key(ALICE) for _ in range(2)]
    async with stack.services.database.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE api_keys SET secret_encrypted = (SELECT secret_encrypted FROM api_keys WHERE key_id = $1) "
            "WHERE key_id = $2",
            (one.key, two.key),
        )
    swapped = msgspec.structs.replace(two, secret=one.secret)
    response = await stack.client.get("/v1/api-keys", headers=stack.signed(swapped, "GET", "/v1/api-keys"))
    assert problem(response).code == "internal_error"
