"""People over REST: register, log in, refresh, log out."""

from tests.unit.api.stack import Stack, problem

PERSON = {"email": "alice@example.com", "password": "correct horse"}


async def test_registered_person_logs_in_and_trades_on_own_account(stack: Stack) -> None:
    registered = await stack.client.post("/v1/auth/register", json=PERSON)
    assert (registered.status_code, registered.json()) == (201, {"account_id": "1001", "engine_seq": 43})
    pair = (await stack.client.post("/v1/auth/login", json=PERSON)).json()
    assert (pair["token_type"], pair["expires_in"], pair["account_id"]) == ("Bearer", 900, "1001")
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert (await stack.client.delete("/v1/orders/7", headers=headers)).status_code == 200


async def test_refreshed_session_goes_on_and_a_logged_out_one_does_not(stack: Stack) -> None:
    await stack.client.post("/v1/auth/register", json=PERSON)
    first = (await stack.client.post("/v1/auth/login", json=PERSON)).json()
    second = await stack.client.post("/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert second.status_code == 200
    token = {"refresh_token": second.json()["refresh_token"]}
    assert (await stack.client.post("/v1/auth/logout", json=token)).json() == {"status": "logged_out"}
    assert problem(await stack.client.post("/v1/auth/refresh", json=token)).code == "unauthenticated"


async def test_wrong_password_is_401(stack: Stack) -> None:
    await stack.client.post("/v1/auth/register", json=PERSON)
    refused = problem(await stack.client.post("/v1/auth/login", json=PERSON | {"password": "another horse"}))
    assert (refused.status, refused.code) == (401, "unauthenticated")


async def test_registered_person_is_no_administrator(stack: Stack) -> None:
    await stack.client.post("/v1/auth/register", json=PERSON)
    pair = (await stack.client.post("/v1/auth/login", json=PERSON)).json()
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert problem(await stack.client.get("/v1/admin/engine", headers=headers)).code == "missing_scope"
