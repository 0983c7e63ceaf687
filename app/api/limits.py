"""`/v1/limits`: the limits that hold for the account, where each comes from, and how much of it is used.

The leader counts and tells. While there is none, the projections tell what they know: every limit, and
what the open orders use.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import InstrumentsDep, Reader, ServicesDep
from app.api.openapi import page_of
from app.api.paging import page_answer
from app.api.query import ReadParameters
from app.api.reads import account_snapshot, instrument_of, scale_of, standing_at
from app.api.services import Services
from app.domain.events import OrderState
from app.domain.identity import Principal
from app.domain.limits import LIMITS
from app.domain.standing import LimitStanding
from app.errors import ApiError
from app.protocol.ports import Instruments
from app.protocol.standing import LimitUse, limit_use
from app.storage.accounts import get_account
from app.storage.limits import get_limits
from app.storage.orders import list_open_orders

LEADER_AWAY = ("engine_unavailable", "service_unavailable")
router = APIRouter(tags=["account"])


class Use(NamedTuple):
    """What an account's open orders use of its limits."""

    open_orders: int
    symbol_open_orders: int
    """The most on one instrument."""
    open_notional: Mapping[str, int]
    """Units by quote asset."""


@router.get("/v1/limits", openapi_extra=page_of(LimitUse))
async def list_account_limits(
    request: Request, principal: Reader, query: ReadParameters, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """List the limits that hold for the account, in one page: of all levels the tightest, its use and headroom."""
    limits: Iterable[LimitStanding]
    try:
        standing = await standing_at(given, principal, query.min_seq)
        limits, as_of_seq = standing.limits, standing.engine_seq
    except ApiError as error:
        if error.code not in LEADER_AWAY:
            raise
        limits, as_of_seq = await _projected(given, principal, query.min_seq)
    shapes = [limit_use(each, 0 if each.asset is None else scale_of(instruments, each.asset)) for each in limits]
    return page_answer(request, shapes, kind="limits", next_position=None, as_of_seq=as_of_seq)


async def _projected(given: Services, principal: Principal, min_seq: int | None) -> tuple[Iterable[LimitStanding], int]:
    """Return the limits and what open orders use of them, without the leader, and the sequence of both."""
    async with account_snapshot(given, principal, min_seq) as (connection, as_of_seq):
        account = await get_account(connection, principal.account_id)
        if account is None:
            raise ApiError("not_found", "There is no such account.")
        tier: Mapping[str, str] = {}
        if account.settings.tier is not None:
            tier = await get_limits(connection, given.shard, account.settings.tier) or {}
        exchange = await get_limits(connection, given.shard, None) or {}
        orders = await list_open_orders(connection, principal.account_id)
    # Of equal ones the account's own is named, as the leader does.
    levels = {"account": account.settings.limits, "tier": tier, "exchange": exchange}
    return list(_standings(levels, _use(orders, given.instruments), given.instruments)), as_of_seq


def _use(orders: Iterable[OrderState], instruments: Instruments) -> Use:
    symbols: Counter[str] = Counter()
    notional: Counter[str] = Counter()
    for state in orders:
        instrument = instrument_of(instruments, state.terms.symbol)
        symbols[instrument.symbol] += 1
        notional[instrument.quote] += state.remaining_quantity * state.price * instrument.notional_unit
    return Use(symbols.total(), max(symbols.values(), default=0), notional)


def _standings(levels: Mapping[str, Mapping[str, str]], use: Use, instruments: Instruments) -> Iterator[LimitStanding]:
    """Yield one entry a limit; of an amount one for each quote asset that is traded."""
    quotes = sorted({instrument.quote for instrument in instruments.all()})
    counts = {"open_orders": use.open_orders, "symbol_open_orders": use.symbol_open_orders}
    for name, info in LIMITS.items():
        found = [(int(limits[name]), level) for level, limits in levels.items() if name in limits]
        if not found:
            continue
        value, level = (max if info.tightest_is_largest else min)(found, key=lambda pair: pair[0])
        for asset in quotes if info.unit == "quote" else (None,):
            used = use.open_notional.get(asset, 0) if name == "open_notional" and asset else counts.get(name)
            yield LimitStanding(name, level, asset, str(value), None if used is None else str(used))
