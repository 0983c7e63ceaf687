"""`/v1/order-lists`: orders that depend on each other, placed, looked up and canceled as one."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import json_answer, read_answer
from app.api.body import JsonBody
from app.api.dependencies import InstrumentsDep, OrderEntryDep, Reader, ServicesDep, SignatureOnceDep, Trader
from app.api.identifiers import OrderListIdPath, unknown_list
from app.api.openapi import answer
from app.api.query import NoQuery, Query, QueryOf, ReadParameters
from app.api.reads import account_snapshot, instrument_of
from app.protocol import fields, schemas
from app.protocol.shapes import order_shape
from app.storage.orders import list_orders_of_list

router = APIRouter(tags=["orders"])
ListBody = Annotated[schemas.OrderListRequest, Depends(JsonBody(schemas.OrderListRequest))]


class CancelListQuery(Query, frozen=True, kw_only=True):
    """Credentials that are limited to instruments name the list's."""

    symbol: fields.SymbolText | None = None


CancelListParameters = Annotated[CancelListQuery, Depends(QueryOf(CancelListQuery))]


@router.post("/v1/order-lists", openapi_extra=answer(schemas.PlacedList, 200, 201))
async def place_order_list(
    principal: Trader, _: NoQuery, body: ListBody, entry: OrderEntryDep, signature: SignatureOnceDep
) -> Response:
    """Place an OCO, OTO or bracket; all of its orders are accepted or none.

    201 with its id and orders; 200 with `duplicate: true` when the first order's client_order_id had placed it already.
    """
    if body.orders[0].client_order_id is None:
        await signature.spend(principal, fail_closed=False)
    placed = await entry.place_list(principal, body)
    return json_answer(placed, 200 if placed.duplicate else 201)


@router.get("/v1/order-lists/{order_list_id}", openapi_extra=answer(schemas.OrderList, adds="as_of_seq"))
async def get_order_list(
    principal: Reader,
    order_list_id: OrderListIdPath,
    query: ReadParameters,
    instruments: InstrumentsDep,
    given: ServicesDep,
) -> Response:
    """Return the orders of one of the account's lists as they are now."""
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        states = await list_orders_of_list(connection, principal.account_id, int(order_list_id))
    # All orders of a list are for one instrument.
    if not states or not principal.may_see(states[0].terms.symbol):
        raise unknown_list()
    shapes = [order_shape(state, instrument_of(instruments, state.terms.symbol)) for state in states]
    return read_answer(schemas.OrderList(order_list_id=order_list_id, orders=shapes), as_of_seq)


@router.delete("/v1/order-lists/{order_list_id}", openapi_extra=answer(schemas.CanceledOrders))
async def cancel_order_list(
    principal: Trader, order_list_id: OrderListIdPath, query: CancelListParameters, entry: OrderEntryDep
) -> Response:
    """Cancel every order of a list that is still open, as one command."""
    return json_answer(await entry.cancel_all(principal, symbol=query.symbol, order_list_id=order_list_id))
