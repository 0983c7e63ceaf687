"""`/v1/limits`: the limits that hold for the account, where each comes from, and how much of it is used."""

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
from app.api.reads import account_snapshot, instrument_of, scale_of
from app.domain.decimals import format_scaled
from app.domain.events import OrderState
from app.domain.limits import LIMITS
from app.errors import ApiError
from app.protocol import schemas
from app.protocol.limit_shapes import wire_name
from app.protocol.ports import Instruments
from app.protocol.shapes import NS_PER_MS
from app.storage.accounts import get_account
from app.storage.limits import get_limits
from app.storage.orders import list_open_orders

router = APIRouter(tags=["account"])


class Use(NamedTuple):
    """What an account's open orders use of its limits."""

    open_orders: int
    symbol_open_orders: int
    """The most on one instrument."""
    open_notional: Mapping[str, int]
    """Units by quote asset."""


@router.get("/v1/limits", openapi_extra=page_of(schemas.LimitUse))
async def list_account_limits(
    request: Request, principal: Reader, query: ReadParameters, instruments: InstrumentsDep, given: ServicesDep
) -> Response:
    """List the limits that hold for the account, in one page: of all levels the tightest, its use and headroom."""
    async with account_snapshot(given, principal, query.min_seq) as (connection, as_of_seq):
        account = await get_account(connection, principal.account_id)
        if account is None:
            raise ApiError("not_found", "There is no such account.")
        levels = {"account": account.settings.limits, "exchange": await get_limits(connection, given.shard, None) or {}}
        if account.settings.tier is not None:
            levels["tier"] = await get_limits(connection, given.shard, account.settings.tier) or {}
        orders = await list_open_orders(connection, principal.account_id)
    shapes = list(_shapes(levels, _use(orders, instruments), instruments))
    return page_answer(request, shapes, kind="limits", next_position=None, as_of_seq=as_of_seq)


def _use(orders: Iterable[OrderState], instruments: Instruments) -> Use:
    symbols: Counter[str] = Counter()
    notional: Counter[str] = Counter()
    for state in orders:
        instrument = instrument_of(instruments, state.terms.symbol)
        symbols[instrument.symbol] += 1
        notional[instrument.quote] += state.remaining_quantity * state.price * instrument.notional_unit
    return Use(symbols.total(), max(symbols.values(), default=0), notional)


def _shapes(levels: Mapping[str, Mapping[str, str]], use: Use, instruments: Instruments) -> Iterator[schemas.LimitUse]:
    """Yield one entry a limit; of an amount one for each quote asset that is traded."""
    quotes = sorted({instrument.quote for instrument in instruments.all()})
    for name, info in LIMITS.items():
        found = [(int(limits[name]), level) for level, limits in sorted(levels.items()) if name in limits]
        if not found:
            continue
        value, level = (max if info.tightest_is_largest else min)(found, key=lambda pair: pair[0])
        if info.unit == "quote":
            for asset in quotes:
                used = use.open_notional.get(asset, 0) if name == "open_notional" else None
                yield _shape(name, level, (value, used), asset=asset, scale=scale_of(instruments, asset))
        elif info.unit == "ns":
            yield _shape(wire_name(name), level, (value // NS_PER_MS, None))
        else:
            yield _shape(name, level, (value, getattr(use, name, None)))


def _shape(
    name: str, level: str, numbers: tuple[int, int | None], *, asset: str | None = None, scale: int = 0
) -> schemas.LimitUse:
    value, used = numbers
    return schemas.LimitUse(
        limit=name,
        level=level,
        asset=asset,
        value=format_scaled(value, scale),
        used=None if used is None else format_scaled(used, scale),
        headroom=None if used is None else format_scaled(value - used, scale),
    )
