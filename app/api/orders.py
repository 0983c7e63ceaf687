"""`/v1/orders`: place, amend, cancel, and look orders up."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import json_answer, read_answer
from app.api.body import JsonBody
from app.api.dependencies import InstrumentsDep, OrderEntryDep, Reader, ServicesDep, SignatureOnceDep, Trader
from app.api.identifiers import ClientOrderIdPath, OrderIdPath
from app.api.openapi import answer, page_of
from app.api.paging import cut, decode_cursor, page_answer
from app.api.query import CancelAllQuery, ListQuery, NoQuery, PlaceQuery, QueryOf, ReadParameters
from app.api.reads import account_snapshot, instrument_of, known_symbol
from app.domain.enums import OrderStatus, Side
from app.domain.events import OrderState
from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol import fields, schemas
from app.protocol.ports import Instruments
from app.protocol.shapes import order_shape
from app.protocol.timestamps import timestamp_ns
from app.storage.orders import OrderFilters, get_order, get_order_by_client_id, list_orders

router = APIRouter(tags=["orders"])
CURSOR_KIND = "orders"
PlaceBody = Annotated[schemas.PlaceOrderRequest, Depends(JsonBody(schemas.PlaceOrderRequest))]
CancelAfterBody = Annotated[schemas.CancelAfterRequest, Depends(JsonBody(schemas.CancelAfterRequest))]
BatchBody = Annotated[schemas.BatchRequest, Depends(JsonBody(schemas.BatchRequest))]
AmendBody = Annotated[schemas.AmendOrderRequest, Depends(JsonBody(schemas.AmendOrderRequest))]


class OrdersQuery(ListQuery, frozen=True, kw_only=True):
    """Which of the account's orders are listed; all given filters must match."""

    symbol: fields.SymbolText | None = None
    status: OrderStatus | None = None
    side: Side | None = None
    since: fields.Timestamp | None = None
    """Created at or after."""
    until: fields.Timestamp | None = None
    """Created before."""
    label: fields.Label | None = None


OrdersParameters = Annotated[OrdersQuery, Depends(QueryOf(OrdersQuery))]
PlaceParameters = Annotated[PlaceQuery, Depends(QueryOf(PlaceQuery))]
CancelAllParameters = Annotated[CancelAllQuery, Depends(QueryOf(CancelAllQuery))]


@router.post("/v1/orders", openapi_extra=answer(schemas.PlacedOrder, 200, 201, alternative=schemas.CheckedOrder))
async def place_order(
    principal: Trader, query: PlaceParameters, body: PlaceBody, entry: OrderEntryDep, signature: SignatureOnceDep
) -> Response:
    """Place an order.

    201 with the order and its fills so far; 200 with `duplicate: true` when the client_order_id had placed it already.
    With `validate_only` nothing is placed: 200 with every check, its limit, what the order brings it to, and headroom.
    """
    if query.validate_only:
        return json_answer(await entry.check(principal, body))
    if body.client_order_id is None:
        await signature.spend(principal, fail_closed=False)
    placed = await entry.place(principal, body)
    return json_answer(placed, 200 if placed.duplicate else 201)


@router.post("/v1/orders/batch", openapi_extra=answer(schemas.PlacedBatch))
async def place_batch(
    request: Request, principal: Trader, _: NoQuery, body: BatchBody, entry: OrderEntryDep
) -> Response:
    """Place up to 50 orders in one command: each by itself, or with `atomic` all of them or none.

    Every order has a client_order_id, so that repeating the batch is safe. The answer has one result for
    each order, in their order: the order, or the error that refused it.
    """
    placed = await entry.place_batch(principal, body)
    for result in placed.results:
        if result.error is not None:
            result.error.request_id = request.state.request_id
    return json_answer(placed)


@router.patch("/v1/orders/{order_id}", openapi_extra=answer(schemas.AmendedOrder))
async def amend_order(
    principal: Trader,
    order_id: OrderIdPath,
    _: NoQuery,
    body: AmendBody,
    entry: OrderEntryDep,
    signature: SignatureOnceDep,
) -> Response:
    """Change price or quantity of an open order; the answer says whether it kept its priority."""
    if body.if_version is None:
        await signature.spend(principal, fail_closed=False)
    return json_answer(await entry.amend(principal, order_id, body))


@router.delete("/v1/orders/{order_id}", openapi_extra=answer(schemas.CanceledOrder))
async def cancel_order(principal: Trader, order_id: OrderIdPath, _: NoQuery, entry: OrderEntryDep) -> Response:
    """Cancel one order."""
    return json_answer(await entry.cancel(principal, order_id=order_id))


@router.delete("/v1/orders", openapi_extra=answer(schemas.CanceledOrders))
async def cancel_all_orders(principal: Trader, query: CancelAllParameters, entry: OrderEntryDep) -> Response:
    """Cancel every open order that matches all given filters, in one atomic command."""
    canceled = await entry.cancel_all(principal, symbol=query.symbol, side=query.side, label=query.label)
    return json_answer(canceled)


@router.post("/v1/cancel-after", openapi_extra=answer(schemas.CancelAfter))
async def set_cancel_after(
    principal: Trader, _: NoQuery, body: CancelAfterBody, entry: OrderEntryDep, signature: SignatureOnceDep
) -> Response:
    """Arm the account's dead man's switch anew, or disarm it with 0; once it fires it is disarmed."""
    # Goes on without Redis: a switch that cannot be armed again would fire.
    await signature.spend(principal, fail_closed=False)
    return json_answer(await entry.cancel_after(principal, body))


@router.get("/v1/orders", openapi_extra=page_of(schemas.Order))
async def list_account_orders(
    request: Request, principal: Reader, query: OrdersParameters, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """List the account's orders, newest first."""
    known_symbol(instruments, query.symbol)
    filters = OrderFilters(
        symbol=query.symbol,
        status=query.status,
        side=query.side,
        since_ns=None if query.since is None else timestamp_ns(query.since, field="since"),
        until_ns=None if query.until is None else timestamp_ns(query.until, field="until"),
        label=query.label,
        symbols=principal.symbols,
    )
    before = decode_cursor(CURSOR_KIND, query.cursor)
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        rows = await list_orders(connection, principal.account_id, filters, before=before, limit=query.limit + 1)
    shown, position = cut(rows, query.limit, lambda state: state.order_id)
    shapes = [_shape(state, instruments) for state in shown]
    return page_answer(request, shapes, kind=CURSOR_KIND, next_position=position, as_of_seq=as_of_seq)


@router.get("/v1/orders/{order_id}", openapi_extra=answer(schemas.Order, adds="as_of_seq"))
async def get_account_order(
    principal: Reader, order_id: OrderIdPath, query: ReadParameters, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """Return one of the account's orders as it is now."""
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        state = await get_order(connection, principal.account_id, int(order_id))
    return read_answer(_found(state, principal, instruments), as_of_seq)


@router.get("/v1/orders/by-client-id/{client_order_id}", openapi_extra=answer(schemas.Order, adds="as_of_seq"))
async def get_account_order_by_client_id(
    principal: Reader,
    client_order_id: ClientOrderIdPath,
    query: ReadParameters,
    instruments: InstrumentsDep,
    given: ServicesDep,
) -> Response:
    """Return the account's order with this client_order_id as it is now."""
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        state = await get_order_by_client_id(connection, principal.account_id, client_order_id)
    return read_answer(_found(state, principal, instruments), as_of_seq)


def _found(state: OrderState | None, principal: Principal, instruments: Instruments) -> schemas.Order:
    if state is None or not principal.may_see(state.terms.symbol):
        raise ApiError("unknown_order", "There is no such order.")
    return _shape(state, instruments)


def _shape(state: OrderState, instruments: Instruments) -> schemas.Order:
    return order_shape(state, instrument_of(instruments, state.terms.symbol))
