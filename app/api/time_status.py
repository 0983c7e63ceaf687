"""`/v1/time` and `/v1/status`: the clock that signatures are judged by, and how the exchange is."""

import time
from collections.abc import Mapping

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from app.api.answers import json_answer, read_answer
from app.api.dependencies import MarketDataDep, ServicesDep
from app.api.openapi import answer
from app.api.query import NoQuery, ReadParameters
from app.api.reads import market_at
from app.protocol.shapes import timestamp_text

router = APIRouter(tags=["status"])


class TimeAnswer(msgspec.Struct):
    """The server's clock."""

    server_time: str
    timestamp_ms: int


class StatusAnswer(msgspec.Struct):
    """How the exchange is, and what each part says."""

    mode: str
    reasons: Mapping[str, str]
    server_time: str


@router.get("/v1/time", openapi_extra=answer(TimeAnswer))
async def get_time(_: NoQuery) -> Response:
    """Return the server's clock."""
    now_ns = time.time_ns()
    return json_answer(TimeAnswer(timestamp_text(now_ns), now_ns // 1_000_000))


@router.get("/v1/status", openapi_extra=answer(StatusAnswer, adds="as_of_seq"))
async def get_status(query: ReadParameters, given: ServicesDep, market: MarketDataDep) -> Response:
    """Return the mode of the exchange, with reasons."""
    applied = await market_at(market, query.min_seq)
    status = given.status()
    return read_answer(StatusAnswer(status.mode.value, status.reasons, timestamp_text(time.time_ns())), applied)
