"""`/v1/account`: who the credentials speak for."""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from app.api.answers import read_answer
from app.api.dependencies import Reader, ServicesDep
from app.api.openapi import answer
from app.api.query import ReadParameters
from app.api.reads import account_snapshot
from app.domain.enums import AccountStatus
from app.errors import ApiError
from app.protocol.shapes import timestamp_text
from app.storage.accounts import get_account

router = APIRouter(tags=["account"])


class AccountAnswer(msgspec.Struct):
    """The account, and what the credentials of this request may do."""

    account_id: str
    name: str
    status: AccountStatus
    account_seq: int
    created_at: str
    tier: str | None
    stp_group: int | None
    restricted: list[str]
    """Instruments that the account may not trade."""
    throttled: bool
    """Whether its executions tripped the throttle."""
    killed: bool
    """Whether its kill switch is on."""
    scopes: list[str]
    symbols: list[str] | None


@router.get("/v1/account", openapi_extra=answer(AccountAnswer, adds="as_of_seq"))
async def get_own_account(principal: Reader, query: ReadParameters, given: ServicesDep) -> Response:
    """Return the account of the credentials."""
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        row = await get_account(connection, principal.account_id)
    if row is None:
        raise ApiError("not_found", "There is no such account.")
    settings = row.settings
    shape = AccountAnswer(
        tier=settings.tier,
        stp_group=settings.stp_group,
        restricted=list(settings.restricted),
        throttled=settings.throttled,
        killed=settings.killed,
        account_id=str(row.account_id),
        name=row.name,
        status=row.status,
        account_seq=row.account_seq,
        created_at=timestamp_text(row.created_ns),
        scopes=sorted(principal.scopes),
        symbols=None if principal.symbols is None else sorted(principal.symbols),
    )
    return read_answer(shape, as_of_seq)
