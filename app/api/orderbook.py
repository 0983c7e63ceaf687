"""`/v1/orderbook/{symbol}`: the snapshot that a client applies the stream's deltas to."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import InstrumentsDep, MarketDataDep
from app.api.identifiers import SymbolPath, unknown_symbol
from app.api.openapi import answer
from app.api.query import QueryOf, ReadQuery
from app.api.reads import market_at
from app.errors import ApiError
from app.protocol import schemas
from app.protocol.fields import DEPTH_PATTERN

DEPTH_MAX = 5000
DEPTH_FULL = "full"
router = APIRouter(tags=["market data"])


class BookQuery(ReadQuery, frozen=True, kw_only=True):
    """Parameters of the snapshot."""

    depth: Annotated[str, Meta(pattern=DEPTH_PATTERN, description="Levels per side, or `full`.")] = DEPTH_FULL


@router.get("/v1/orderbook/{symbol}", openapi_extra=answer(schemas.BookSnapshot))
async def get_order_book(
    request: Request,
    symbol: SymbolPath,
    query: Annotated[BookQuery, Depends(QueryOf(BookQuery))],
    market: MarketDataDep,
    instruments: InstrumentsDep,
) -> Response:
    """Return the order book's levels, best first; 304 if the client's copy is still right."""
    depth = _depth(query.depth)
    if query.min_seq is not None:
        await market_at(market, query.min_seq)
    if instruments.get(symbol) is None:
        raise unknown_symbol()
    snapshot = await market.book_snapshot(symbol, depth=depth, min_seq=query.min_seq)
    tag = f'"{snapshot.epoch}-{snapshot.seq}-{query.depth}"'
    if _knows(request, tag):
        return Response(status_code=304, headers={"ETag": tag})
    return json_answer(snapshot, headers={"ETag": tag, "Cache-Control": "no-cache"})


def _depth(text: str) -> int | None:
    if text == DEPTH_FULL:
        return None
    depth = int(text)
    if depth > DEPTH_MAX:
        raise ApiError("invalid_request", f"Expected a depth of 1 to {DEPTH_MAX}, or full.", field="depth")
    return depth


def _knows(request: Request, tag: str) -> bool:
    """Return whether If-None-Match names the tag; it may hold a list, and weak tags compare equal."""
    given = request.headers.get("if-none-match", "")
    # The tag's own quotation marks keep it from being found inside a longer one.
    return given.strip() == "*" or tag in given
