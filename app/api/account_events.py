"""`/v1/events`: the account's private events in order, without a gap: the REST twin of resuming a private stream."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, Reader, ServicesDep
from app.api.openapi import page_of
from app.api.paging import decode_cursor, page_answer
from app.api.query import SEQUENCE_MAX, ListQuery, QueryOf
from app.api.reads import RETRY_AFTER_MS, account_snapshot
from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol import messages, schemas
from app.protocol.holdings import Position
from app.protocol.ports import Instruments
from app.protocol.shapes import timestamp_text
from app.storage.account_events import AccountEvent, events_after
from app.streaming.private_frames import channels_of, event_members, symbol_of

CURSOR_KIND = "events"
router = APIRouter(tags=["account"])


class EventsQuery(ListQuery, frozen=True, kw_only=True):
    """Where the list begins."""

    after: Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)] = 0
    """The account_seq of the last event that is known; the list begins with the next one."""


class AccountEventShape(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One event, with the members that its frame has on the stream."""

    event: str
    account_seq: int
    prev_account_seq: int
    """The account_seq of the event before in this list, or `after`: differs by more than 1 only where the
    credentials may not see what lies between."""
    engine_seq: int
    ts: str
    order: schemas.Order | None = None
    fill: schemas.Fill | None = None
    balance: schemas.Balance | None = None
    position: Position | None = None
    prevention: messages.Prevention | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    error: schemas.Problem | None = None
    trigger_at: str | None = None
    """When an armed dead man's switch fires; it is disarmed without."""
    fired: bool | None = None


@router.get("/v1/events", openapi_extra=page_of(AccountEventShape))
async def list_account_events(
    request: Request,
    principal: Reader,
    query: Annotated[EventsQuery, Depends(QueryOf(EventsQuery))],
    instruments: InstrumentsDep,
    given: ServicesDep,
) -> Response:
    """List the account's events after one of them, oldest first."""
    after = max(query.after, decode_cursor(CURSOR_KIND, query.cursor) or 0)
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        rows = await events_after(connection, principal.account_id, after, query.limit + 1)
    shown = rows[: query.limit]
    try:
        shapes = _shapes(shown, after, principal, instruments)
    except LookupError as unknown:
        raise ApiError(
            "not_caught_up", "This replica does not know the instrument yet.", retry_after_ms=RETRY_AFTER_MS
        ) from unknown
    position = shown[-1].event.account_seq if len(rows) > query.limit else None
    return page_answer(request, shapes, kind=CURSOR_KIND, next_position=position, as_of_seq=as_of_seq)


def _shapes(
    rows: list[AccountEvent], after: int, principal: Principal, instruments: Instruments
) -> list[AccountEventShape]:
    """Return the events that the credentials may see."""
    shapes: list[AccountEventShape] = []
    for event, timestamp_ns in rows:
        symbol = symbol_of(event)
        if symbol is not None and not principal.may_see(symbol):
            continue
        members = event_members(event, channels_of(event)[0], timestamp_ns, instruments)
        shapes.append(
            AccountEventShape(
                event=str(event.__struct_config__.tag),
                account_seq=event.account_seq,
                prev_account_seq=after,
                engine_seq=event.engine_seq,
                ts=timestamp_text(timestamp_ns),
                **members,  # type: ignore[arg-type]  # the stream's members, whose names the struct has
            )
        )
        after = event.account_seq
    return shapes
