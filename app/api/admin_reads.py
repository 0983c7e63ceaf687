"""`/v1/admin/audit` and `/v1/admin/ledger/verify`: what was done, and whether everything adds up."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import read_answer
from app.api.dependencies import Admin, InstrumentsDep, ServicesDep
from app.api.identifiers import account_id_filter
from app.api.openapi import answer, page_of
from app.api.paging import cut, decode_cursor, page_answer
from app.api.query import ListQuery, QueryOf, ReadParameters
from app.api.reads import projection_snapshot, scale_of
from app.domain.decimals import format_scaled
from app.protocol.fields import IdText
from app.protocol.shapes import timestamp_text
from app.storage.audit import AuditRow, list_acts
from app.storage.ledger import differing_balances, sums_by_asset

CURSOR_KIND = "audit"
router = APIRouter(prefix="/v1/admin", tags=["administration"])


class AuditQuery(ListQuery, frozen=True, kw_only=True):
    """Which acts are listed."""

    account_id: IdText | None = None
    """Those about one account."""


class Act(msgspec.Struct, kw_only=True):
    """One command of an administrator; `changed` is false when it was refused or repeated what was done before."""

    engine_seq: int
    ts: str
    action: str
    account_id: str | None
    changed: bool
    details: dict[str, Any]
    """The command's fields, in the engine's integers."""


class AssetCheck(msgspec.Struct, kw_only=True):
    """Sums over every account, outside and fees included: both must be zero."""

    asset: str
    balances: str
    entries: str


class LedgerCheck(msgspec.Struct, kw_only=True):
    """Whether the ledger adds up at `as_of_seq`."""

    balanced: bool
    differing_balances: int
    """Balances that are not the sum of their entries; must be 0."""
    assets: list[AssetCheck]


@router.get("/audit", openapi_extra=page_of(Act))
async def list_audit(
    request: Request, admin: Admin, query: Annotated[AuditQuery, Depends(QueryOf(AuditQuery))], given: ServicesDep
) -> Response:
    """List administrators' commands, newest first."""
    before = decode_cursor(CURSOR_KIND, query.cursor)
    account_id = None if query.account_id is None else account_id_filter(query.account_id)
    async with projection_snapshot(given, query.min_seq) as (connection, as_of_seq):
        rows = await list_acts(connection, given.shard, account_id=account_id, before=before, limit=query.limit + 1)
    shown, position = cut(rows, query.limit, lambda row: row.engine_seq)
    shapes = [_shape(row) for row in shown]
    return page_answer(request, shapes, kind=CURSOR_KIND, next_position=position, as_of_seq=as_of_seq)


@router.get("/ledger/verify", openapi_extra=answer(LedgerCheck, adds="as_of_seq"))
async def verify_ledger(
    admin: Admin, query: ReadParameters, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """Add up every balance and every ledger entry."""
    async with projection_snapshot(given, query.min_seq) as (connection, as_of_seq):
        sums = await sums_by_asset(connection)
        differing = await differing_balances(connection)
    assets = []
    for found in sums:
        scale = scale_of(instruments, found.asset)
        balances, entries = format_scaled(found.balances, scale), format_scaled(found.entries, scale)
        assets.append(AssetCheck(asset=found.asset, balances=balances, entries=entries))
    balanced = not differing and not any(found.balances or found.entries for found in sums)
    return read_answer(LedgerCheck(balanced=balanced, differing_balances=differing, assets=assets), as_of_seq)


def _shape(row: AuditRow) -> Act:
    return Act(
        engine_seq=row.engine_seq,
        ts=timestamp_text(row.timestamp_ns),
        action=row.action,
        account_id=None if row.account_id is None else str(row.account_id),
        changed=row.changed,
        details=msgspec.json.decode(row.details, type=dict[str, Any]),
    )
