"""`/v1/admin`: assets, instruments, limits, fees and switches, for who holds the scope `admin`."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import json_answer, read_answer, write_answer
from app.api.body import JsonBody
from app.api.dependencies import Admin, AdministrationDep, ServicesDep, SignatureOnceDep
from app.api.identifiers import SymbolPath
from app.api.openapi import answer
from app.api.query import NoQuery, QueryOf, ReadQuery
from app.api.reads import projection_snapshot
from app.domain.decimals import plain_text
from app.domain.enums import KillSwitchScope
from app.errors import ApiError
from app.protocol import admin_schemas, schemas
from app.protocol.fields import TierName
from app.protocol.limit_shapes import limits_shape
from app.storage.limits import get_limits

router = APIRouter(prefix="/v1/admin", tags=["administration"])
AssetBody = Annotated[admin_schemas.AssetRequest, Depends(JsonBody(admin_schemas.AssetRequest))]
InstrumentBody = Annotated[admin_schemas.InstrumentRequest, Depends(JsonBody(admin_schemas.InstrumentRequest))]
InstrumentEditBody = Annotated[
    admin_schemas.InstrumentEditRequest, Depends(JsonBody(admin_schemas.InstrumentEditRequest))
]
KillSwitchBody = Annotated[admin_schemas.KillSwitchRequest, Depends(JsonBody(admin_schemas.KillSwitchRequest))]
ReferenceBody = Annotated[admin_schemas.ReferenceRequest, Depends(JsonBody(admin_schemas.ReferenceRequest))]
FeeTiersBody = Annotated[admin_schemas.FeeTiersRequest, Depends(JsonBody(admin_schemas.FeeTiersRequest))]
LimitsBody = Annotated[admin_schemas.LimitsRequest, Depends(JsonBody(admin_schemas.LimitsRequest))]


class AssetAnswer(msgspec.Struct):
    """An asset; one unit is 10**-scale."""

    asset: str
    scale: int


class LimitsAnswer(msgspec.Struct):
    """The changes that were made; `tier` null is the exchange."""

    tier: str | None
    limits: admin_schemas.LimitChanges


class LevelAnswer(msgspec.Struct):
    """All limits of a level; `tier` null is the exchange, a null limit is not set."""

    tier: str | None
    limits: admin_schemas.LimitChanges


class LevelQuery(ReadQuery, frozen=True, kw_only=True):
    """Which level's limits are shown."""

    tier: TierName | None = None


LevelParameters = Annotated[LevelQuery, Depends(QueryOf(LevelQuery))]


class ReferenceAnswer(msgspec.Struct):
    """An external price as it was taken."""

    symbol: str
    price: str


class FeeTiersAnswer(msgspec.Struct):
    """The fee tiers of a quote asset as they stand."""

    asset: str
    tiers: list[admin_schemas.FeeTier]


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
    """Change an instrument's status, filters, fees or order types; what is left out stays."""
    # Goes on without Redis: halting an instrument must always work.
    await signature.spend(principal, fail_closed=False)
    shape, engine_seq = await administration.edit_instrument(symbol, body)
    return write_answer(shape, engine_seq)


@router.post("/instruments/{symbol}/reference", openapi_extra=answer(ReferenceAnswer, adds="engine_seq"))
async def set_reference(
    principal: Admin,
    symbol: SymbolPath,
    _: NoQuery,
    body: ReferenceBody,
    administration: AdministrationDep,
    signature: SignatureOnceDep,
) -> Response:
    """State an external price; for 5 s it counts for the mark price."""
    # Goes on without Redis: a feed of prices must not depend on it.
    await signature.spend(principal, fail_closed=False)
    engine_seq = await administration.set_reference(symbol, body)
    return write_answer(ReferenceAnswer(symbol, plain_text(body.price)), engine_seq)


@router.post("/fee-tiers", openapi_extra=answer(FeeTiersAnswer, adds="engine_seq"))
async def set_fee_tiers(
    principal: Admin, _: NoQuery, body: FeeTiersBody, administration: AdministrationDep, signature: SignatureOnceDep
) -> Response:
    """Replace the fee tiers of a quote asset; orders that are open keep the rates they were accepted with."""
    await signature.spend(principal, fail_closed=False)
    return write_answer(FeeTiersAnswer(body.asset, body.tiers), await administration.set_fee_tiers(body))


@router.patch("/limits", openapi_extra=answer(LimitsAnswer, adds="engine_seq"))
async def set_limits(
    principal: Admin, _: NoQuery, body: LimitsBody, administration: AdministrationDep, signature: SignatureOnceDep
) -> Response:
    """Change limits that hold for every account, or for the accounts of a tier; of all levels the tightest holds."""
    if body == admin_schemas.LimitsRequest():
        raise ApiError("invalid_request", "Expected a limit to change.", field="open_orders")
    await signature.spend(principal, fail_closed=False)
    engine_seq = await administration.set_limits(body)
    changed = {name: getattr(body, name) for name in admin_schemas.LimitChanges.__struct_fields__}
    return write_answer(LimitsAnswer(body.tier, admin_schemas.LimitChanges(**changed)), engine_seq)


@router.get("/limits", openapi_extra=answer(LevelAnswer, adds="as_of_seq"))
async def get_limits_of_level(_: Admin, query: LevelParameters, given: ServicesDep) -> Response:
    """Return the limits of the exchange, or of a tier."""
    async with projection_snapshot(given, query.min_seq) as (connection, as_of_seq):
        limits = await get_limits(connection, given.shard, query.tier)
    if limits is None:
        raise ApiError("not_found", "There is no such tier.", field="tier")
    return read_answer(LevelAnswer(query.tier, limits_shape(limits)), as_of_seq)


@router.post("/kill-switch", openapi_extra=answer(KillSwitchAnswer, adds="engine_seq"))
async def set_kill_switch(
    principal: Admin, _: NoQuery, body: KillSwitchBody, administration: AdministrationDep, signature: SignatureOnceDep
) -> Response:
    """Stop trading of the exchange, an instrument or an account at once and cancel its orders, or allow it again."""
    # Goes on without Redis: stopping must always work.
    await signature.spend(principal, fail_closed=False)
    engine_seq, duplicate = await administration.set_kill_switch(body)
    return write_answer(KillSwitchAnswer(body.scope, body.target, body.on, duplicate), engine_seq)


@router.get("/engine", openapi_extra=answer(EngineAnswer))
async def get_engine(_: Admin, __: NoQuery, administration: AdministrationDep) -> Response:
    """Return term, sequence, state hash, mode and build of the leader."""
    return json_answer(await administration.engine_status())
