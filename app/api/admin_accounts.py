"""`/v1/admin/accounts`: accounts, their money and keys, for who holds the scope `admin`."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from app.api.answers import json_answer, write_answer
from app.api.body import JsonBody
from app.api.dependencies import Admin, AdministrationDep, ApiKeysDep, LoginDep, ServicesDep, SignatureOnceDep
from app.api.funds import MoveAnswer, MoveBody, TransferAnswer, TransferBody, move_answer, transfer_answer
from app.api.identifiers import AccountIdPath
from app.api.openapi import answer
from app.api.query import NoQuery
from app.api.reads import account_exists
from app.auth.api_keys import CreatedKey
from app.domain.enums import AccountStatus
from app.domain.identity import SCOPES
from app.errors import ApiError
from app.protocol import admin_schemas, schemas

router = APIRouter(prefix="/v1/admin", tags=["administration"])
AccountBody = Annotated[admin_schemas.AccountRequest, Depends(JsonBody(admin_schemas.AccountRequest))]
AccountEditBody = Annotated[admin_schemas.AccountEditRequest, Depends(JsonBody(admin_schemas.AccountEditRequest))]
KeyBody = Annotated[schemas.ApiKeyRequest, Depends(JsonBody(schemas.ApiKeyRequest))]


class OpenedAccountAnswer(msgspec.Struct):
    """An account; `duplicate` says that it was there under this name."""

    account_id: str
    name: str
    duplicate: bool


class EditedAccountAnswer(msgspec.Struct):
    """What was changed of an account."""

    account_id: str
    status: AccountStatus | UnsetType = UNSET
    tier: str | UnsetType | None = UNSET
    limits: admin_schemas.LimitChanges | UnsetType = UNSET
    stp_group: int | UnsetType | None = UNSET
    restricted: list[str] | UnsetType = UNSET
    release_throttle: bool | UnsetType = UNSET


@router.post("/accounts", openapi_extra=answer(OpenedAccountAnswer, 200, 201, adds="engine_seq"))
async def create_account(
    _: Admin, __: NoQuery, body: AccountBody, administration: AdministrationDep, login: LoginDep
) -> Response:
    """Open an account, and let a person sign in to it when email and password are given.

    The name is the natural key: repeating it answers the same account with 200.
    """
    if (body.email is None) != (body.password is None):
        missing = "password" if body.password is None else "email"
        raise ApiError("invalid_request", "Expected email and password together, or neither.", field=missing)
    account_id, engine_seq, duplicate = await administration.create_account(body.name)
    if body.email is not None and body.password is not None:
        await login.add_user(body.email, body.password, account_id)
    opened = OpenedAccountAnswer(str(account_id), body.name, duplicate)
    return write_answer(opened, engine_seq, 200 if duplicate else 201)


@router.patch("/accounts/{account_id}", openapi_extra=answer(EditedAccountAnswer, adds="engine_seq"))
async def edit_account(
    principal: Admin,
    account_id: AccountIdPath,
    _: NoQuery,
    body: AccountEditBody,
    administration: AdministrationDep,
    signature: SignatureOnceDep,
) -> Response:
    """Change an account's status, tier, limits, self-trade group or restricted instruments; what is left out stays."""
    if body == admin_schemas.AccountEditRequest():
        raise ApiError("invalid_request", "Expected something to change.", field="status")
    # Goes on without Redis: freezing must always work.
    await signature.spend(principal, fail_closed=False)
    engine_seq = await administration.edit_account(account_id, body)
    changed = {name: getattr(body, name) for name in body.__struct_fields__}
    return write_answer(EditedAccountAnswer(str(account_id), **changed), engine_seq)


@router.post("/accounts/{account_id}/deposits", openapi_extra=answer(TransferAnswer, 200, 201, adds="engine_seq"))
async def deposit(
    _: Admin, account_id: AccountIdPath, __: NoQuery, body: TransferBody, administration: AdministrationDep
) -> Response:
    """Credit an account from outside; idempotent by transfer_id."""
    engine_seq, duplicate = await administration.deposit(account_id, body)
    return transfer_answer(account_id, body, engine_seq, duplicate)


@router.post("/accounts/{account_id}/withdrawals", openapi_extra=answer(TransferAnswer, 200, 201, adds="engine_seq"))
async def withdraw(
    _: Admin, account_id: AccountIdPath, __: NoQuery, body: TransferBody, administration: AdministrationDep
) -> Response:
    """Debit an account's available balance to outside; idempotent by transfer_id."""
    engine_seq, duplicate = await administration.withdraw(account_id, body)
    return transfer_answer(account_id, body, engine_seq, duplicate)


@router.post("/accounts/{account_id}/transfers", openapi_extra=answer(MoveAnswer, 200, 201, adds="engine_seq"))
async def transfer(
    _: Admin, account_id: AccountIdPath, __: NoQuery, body: MoveBody, administration: AdministrationDep
) -> Response:
    """Move money of an account to another; idempotent by the account and transfer_id."""
    engine_seq, duplicate = await administration.transfer(account_id, body)
    return move_answer(account_id, body, engine_seq, duplicate)


@router.post("/accounts/{account_id}/api-keys", openapi_extra=answer(CreatedKey, 201))
async def create_account_key(
    principal: Admin,
    account_id: AccountIdPath,
    _: NoQuery,
    body: KeyBody,
    keys: ApiKeysDep,
    signature: SignatureOnceDep,
    given: ServicesDep,
) -> Response:
    """Create a key for any account; its secret is shown this once."""
    await signature.spend(principal, fail_closed=True)
    if not await account_exists(given, account_id):
        raise ApiError("not_found", "There is no such account.")
    maker = msgspec.structs.replace(principal, scopes=frozenset(SCOPES))
    return json_answer(await keys.create(maker, body, account_id=account_id), 201)
