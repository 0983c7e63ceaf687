"""`/v1/admin`: assets, instruments, accounts, money and keys, for who holds the scope `admin`."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import json_answer, write_answer
from app.api.body import JsonBody
from app.api.dependencies import Admin, AdministrationDep, ApiKeysDep, LoginDep, ServicesDep, SignatureOnceDep
from app.api.identifiers import AccountIdPath, SymbolPath
from app.api.openapi import answer
from app.api.query import NoQuery
from app.api.reads import account_exists
from app.auth.api_keys import CreatedKey
from app.domain.decimals import format_scaled, parse_decimal
from app.domain.enums import AccountStatus, KillSwitchScope
from app.domain.identity import SCOPES
from app.errors import ApiError
from app.protocol import admin_schemas, schemas

router = APIRouter(prefix="/v1/admin", tags=["administration"])
AssetBody = Annotated[admin_schemas.AssetRequest, Depends(JsonBody(admin_schemas.AssetRequest))]
InstrumentBody = Annotated[admin_schemas.InstrumentRequest, Depends(JsonBody(admin_schemas.InstrumentRequest))]
InstrumentEditBody = Annotated[
    admin_schemas.InstrumentEditRequest, Depends(JsonBody(admin_schemas.InstrumentEditRequest))
]
AccountBody = Annotated[admin_schemas.AccountRequest, Depends(JsonBody(admin_schemas.AccountRequest))]
AccountEditBody = Annotated[admin_schemas.AccountEditRequest, Depends(JsonBody(admin_schemas.AccountEditRequest))]
TransferBody = Annotated[admin_schemas.TransferRequest, Depends(JsonBody(admin_schemas.TransferRequest))]
KeyBody = Annotated[schemas.ApiKeyRequest, Depends(JsonBody(schemas.ApiKeyRequest))]
KillSwitchBody = Annotated[admin_schemas.KillSwitchRequest, Depends(JsonBody(admin_schemas.KillSwitchRequest))]
LimitsBody = Annotated[admin_schemas.LimitsRequest, Depends(JsonBody(admin_schemas.LimitsRequest))]


class AssetAnswer(msgspec.Struct):
    """An asset; one unit is 10**-scale."""

    asset: str
    scale: int


class OpenedAccountAnswer(msgspec.Struct):
    """An account; `duplicate` says that it was there under this name."""

    account_id: str
    name: str
    duplicate: bool


class EditedAccountAnswer(msgspec.Struct):
    """An account's new status."""

    account_id: str
    status: AccountStatus


class TransferAnswer(msgspec.Struct):
    """A deposit or withdrawal; `duplicate` says that the transfer_id had done it before."""

    account_id: str
    asset: str
    amount: str
    transfer_id: str
    duplicate: bool


class LimitsAnswer(msgspec.Struct):
    """Limits of every account; null is no limit."""

    open_orders: int | None


class KillSwitchAnswer(msgspec.Struct):
    """A kill switch as it stands; `duplicate` says that it stood so already."""

    scope: KillSwitchScope
    target: str | None
    on: bool
    duplicate: bool


class EngineAnswer(msgspec.Struct):
    """Where the leader stands, at a sequence that it has committed."""

    shard: int
    term: int
    epoch: int
    engine_seq: int
    state_hash: str
    state_hash_seq: int
    engine_version: int
    build: str
    mode: str
    queue: int


@router.post("/assets", openapi_extra=answer(AssetAnswer, 201, adds="engine_seq"))
async def create_asset(_: Admin, __: NoQuery, body: AssetBody, administration: AdministrationDep) -> Response:
    """Add an asset; repeating it with the same scale changes nothing."""
    engine_seq = await administration.create_asset(body)
    return write_answer(AssetAnswer(body.asset, body.scale), engine_seq, 201)


@router.post("/instruments", openapi_extra=answer(schemas.InstrumentShape, 201, adds="engine_seq"))
async def create_instrument(_: Admin, __: NoQuery, body: InstrumentBody, administration: AdministrationDep) -> Response:
    """List an instrument."""
    shape, engine_seq = await administration.create_instrument(body)
    return write_answer(shape, engine_seq, 201)


@router.patch("/instruments/{symbol}", openapi_extra=answer(schemas.InstrumentShape, adds="engine_seq"))
async def edit_instrument(
    principal: Admin,
    symbol: SymbolPath,
    _: NoQuery,
    body: InstrumentEditBody,
    administration: AdministrationDep,
    signature: SignatureOnceDep,
) -> Response:
    """Change an instrument's status, filters or fees; what is left out stays."""
    # Goes on without Redis: halting an instrument must always work.
    await signature.spend(principal, fail_closed=False)
    shape, engine_seq = await administration.edit_instrument(symbol, body)
    return write_answer(shape, engine_seq)


@router.patch("/limits", openapi_extra=answer(LimitsAnswer, adds="engine_seq"))
async def set_limits(
    principal: Admin, _: NoQuery, body: LimitsBody, administration: AdministrationDep, signature: SignatureOnceDep
) -> Response:
    """Set the limits that hold for every account."""
    await signature.spend(principal, fail_closed=False)
    engine_seq = await administration.set_limits(body)
    return write_answer(LimitsAnswer(body.open_orders), engine_seq)


@router.post("/kill-switch", openapi_extra=answer(KillSwitchAnswer, adds="engine_seq"))
async def set_kill_switch(
    principal: Admin, _: NoQuery, body: KillSwitchBody, administration: AdministrationDep, signature: SignatureOnceDep
) -> Response:
    """Stop trading of the exchange, an instrument or an account at once and cancel its orders, or allow it again."""
    # Goes on without Redis: stopping must always work.
    await signature.spend(principal, fail_closed=False)
    engine_seq, duplicate = await administration.set_kill_switch(body)
    return write_answer(KillSwitchAnswer(body.scope, body.target, body.on, duplicate), engine_seq)


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
    """Freeze an account or make it active again."""
    await signature.spend(principal, fail_closed=False)
    engine_seq = await administration.edit_account(account_id, body)
    return write_answer(EditedAccountAnswer(str(account_id), body.status), engine_seq)


@router.post("/accounts/{account_id}/deposits", openapi_extra=answer(TransferAnswer, 200, 201, adds="engine_seq"))
async def deposit(
    _: Admin, account_id: AccountIdPath, __: NoQuery, body: TransferBody, administration: AdministrationDep
) -> Response:
    """Credit an account from outside; idempotent by transfer_id."""
    engine_seq, duplicate = await administration.deposit(account_id, body)
    return _transfer_answer(account_id, body, engine_seq, duplicate)


@router.post("/accounts/{account_id}/withdrawals", openapi_extra=answer(TransferAnswer, 200, 201, adds="engine_seq"))
async def withdraw(
    _: Admin, account_id: AccountIdPath, __: NoQuery, body: TransferBody, administration: AdministrationDep
) -> Response:
    """Debit an account's available balance to outside; idempotent by transfer_id."""
    engine_seq, duplicate = await administration.withdraw(account_id, body)
    return _transfer_answer(account_id, body, engine_seq, duplicate)


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


@router.get("/engine", openapi_extra=answer(EngineAnswer))
async def get_engine(_: Admin, __: NoQuery, administration: AdministrationDep) -> Response:
    """Return term, sequence, state hash, mode and build of the leader."""
    return json_answer(await administration.engine_status())


def _transfer_answer(
    account_id: int, body: admin_schemas.TransferRequest, engine_seq: int, duplicate: bool
) -> Response:
    amount = parse_decimal(body.amount)
    assert amount is not None, "expected the schema to admit decimals only"  # noqa: S101  # its pattern is the grammar
    text = format_scaled(amount.mantissa, amount.scale)
    shape = TransferAnswer(str(account_id), body.asset, text, body.transfer_id, duplicate)
    return write_answer(shape, engine_seq, 200 if duplicate else 201)
