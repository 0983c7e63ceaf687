"""`/v1/ledger`: every movement of the account's balances, with its cause."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, Reader, ServicesDep
from app.api.openapi import page_of
from app.api.paging import cut, decode_cursor, page_answer
from app.api.query import ListQuery, QueryOf
from app.api.reads import account_snapshot, scale_of
from app.protocol.fields import SYMBOL_PATTERN
from app.protocol.holdings import LedgerEntry, ledger_entry_shape
from app.protocol.ports import Instruments
from app.storage.ledger import LedgerRow, list_entries

CURSOR_KIND = "ledger"
router = APIRouter(tags=["account"])


class LedgerQuery(ListQuery, frozen=True, kw_only=True):
    """Which entries are listed."""

    asset: Annotated[str, Meta(pattern=SYMBOL_PATTERN)] | None = None


@router.get("/v1/ledger", openapi_extra=page_of(LedgerEntry))
async def list_account_ledger(
    request: Request,
    principal: Reader,
    query: Annotated[LedgerQuery, Depends(QueryOf(LedgerQuery))],
    instruments: InstrumentsDep,
    given: ServicesDep,
) -> Response:
    """List the account's ledger entries, newest first."""
    before = decode_cursor(CURSOR_KIND, query.cursor)
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        rows = await list_entries(
            connection, principal.account_id, asset=query.asset, before=before, limit=query.limit + 1
        )
    shown, position = cut(rows, query.limit, lambda row: row.entry_id)
    shapes = [_shape(row, instruments) for row in shown]
    return page_answer(request, shapes, kind=CURSOR_KIND, next_position=position, as_of_seq=as_of_seq)


def _shape(row: LedgerRow, instruments: Instruments) -> LedgerEntry:
    return ledger_entry_shape(
        row.asset,
        scale_of(instruments, row.asset),
        row.amount,
        row.balance,
        cause=row.cause,
        ref=row.ref,
        engine_seq=row.engine_seq,
        timestamp_ns=row.timestamp_ns,
    )
