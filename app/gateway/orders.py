"""The gateway's order calls: check what needs no engine, submit, render the outcome."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import wraps
from time import monotonic, time_ns
from typing import Any, ParamSpec, TypeVar

from app import metrics
from app.domain.commands import AmendOrder, CancelAll, CancelOrder, Command, PlaceOrder, SetCancelAfter
from app.domain.decimals import parse_decimal
from app.domain.enums import OrderType, SelfTradePrevention, Side, TimeInForce
from app.domain.identity import Principal
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from app.errors import ApiError
from app.gateway.numbers import price_ticks, quantity_lots, rate_units
from app.gateway.refusals import refused
from app.protocol import schemas, shapes
from app.protocol.ports import CommandLink, Instruments
from app.protocol.timestamps import timestamp_ns
from app.stages import TIMES, Stage

ACKNOWLEDGED_ACCOUNTS_MAX = 100_000
"""Accounts whose last acknowledged sequence a replica remembers, for reading one's own writes."""
DEADLINE_MS_MAX = 60_000
ID_MAX = 2**63 - 1
NS_PER_MS = 1_000_000

_NOT_YET = (
    "quote_quantity",
    "display_quantity",
    "trigger_price",
    "trigger_by",
    "trailing_offset",
)
"""Fields of order types that the engine does not have yet: refused, never ignored."""


P = ParamSpec("P")
R = TypeVar("R")


def _timed(call: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Count how long an order call takes, refused ones as well."""

    @wraps(call)
    async def timed(*arguments: P.args, **members: P.kwargs) -> R:
        started = monotonic()
        try:
            return await call(*arguments, **members)
        finally:
            TIMES[Stage.GATEWAY].add(monotonic() - started)

    return timed


class OrderGateway:
    """Implements ports.OrderEntry."""

    def __init__(self, link: CommandLink, instruments: Instruments) -> None:
        self._link = link
        self._instruments = instruments
        self._acknowledged: OrderedDict[int, int] = OrderedDict()

    @_timed
    async def place(
        self, principal: Principal, request: schemas.PlaceOrderRequest, *, session_id: str | None = None
    ) -> schemas.PlacedOrder:
        """Place one order."""
        instrument = self._instrument(principal, request.symbol)
        command = place_command(principal.account_id, request, instrument, session_id)
        deadline_ms = None if request.deadline is None else deadline_left_ms(request.deadline)
        outcome = await self._submit(principal, command, session_id, deadline_ms)
        members = _order_members(outcome, instrument)
        assert outcome.order is not None  # noqa: S101  # an outcome without rejection has its order
        fills = [shapes.fill_shape(fill, outcome.order, instrument, outcome.timestamp_ns) for fill in outcome.fills]
        return schemas.PlacedOrder(**members, fills=fills, duplicate=outcome.duplicate)  # type: ignore[arg-type]  # members match by construction, tested

    @_timed
    async def cancel(
        self,
        principal: Principal,
        *,
        order_id: str | None = None,
        client_order_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrder:
        """Cancel one order by exactly one of its ids."""
        if (order_id is None) == (client_order_id is None):
            raise ApiError("invalid_request", "expected exactly one of order_id and client_order_id", field="order_id")
        number = None if order_id is None else order_number(order_id)
        command = CancelOrder(principal.account_id, number, client_order_id, _limited(principal))
        outcome = await self._submit(principal, command, session_id)
        members = _order_members(outcome, self._of(outcome))
        return schemas.CanceledOrder(**members)  # type: ignore[arg-type]  # members match by construction, tested

    @_timed
    async def amend(
        self,
        principal: Principal,
        order_id: str,
        request: schemas.AmendOrderRequest,
        *,
        session_id: str | None = None,
    ) -> schemas.AmendedOrder:
        """Change price or quantity of an open order."""
        for field in ("display_quantity", "trigger_price"):
            if getattr(request, field) is not None:
                raise ApiError("type_not_allowed", "no order has this field yet", field=field)
        if request.price is None and request.quantity is None:
            raise ApiError("invalid_request", "expected price or quantity", field="price")
        price, price_scale = decimal_parts(request.price, "price")
        quantity, quantity_scale = decimal_parts(request.quantity, "quantity")
        command = AmendOrder(
            principal.account_id,
            order_number(order_id),
            price,
            quantity,
            request.if_version,
            price_scale,
            quantity_scale,
            _limited(principal),
        )
        outcome = await self._submit(principal, command, session_id)
        members = _order_members(outcome, self._of(outcome))
        return schemas.AmendedOrder(**members, priority=outcome.priority)  # type: ignore[arg-type]  # members match by construction, tested

    @_timed
    async def cancel_all(
        self,
        principal: Principal,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        label: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrders:
        """Cancel every open order that matches, atomically."""
        if symbol is not None:
            self._instrument(principal, symbol)
        elif principal.symbols is not None:
            raise ApiError("forbidden", "these credentials are limited to instruments: name the symbol", field="symbol")
        command = CancelAll(principal.account_id, symbol, side, label)
        outcome = await self._submit(principal, command, session_id)
        canceled = []
        for state in outcome.orders:
            instrument = self._instruments.get(state.terms.symbol)
            if instrument is not None:
                canceled.append(shapes.order_shape(state, instrument))
        return schemas.CanceledOrders(engine_seq=outcome.engine_seq, canceled=canceled)

    @_timed
    async def cancel_after(self, principal: Principal, request: schemas.CancelAfterRequest) -> schemas.CancelAfter:
        """Arm the account's dead man's switch anew, or disarm it."""
        symbols = request.symbols
        if symbols is None and principal.symbols is not None and request.timeout_ms:
            raise ApiError("forbidden", "these credentials are limited to instruments: name them", field="symbols")
        for symbol in symbols or ():
            self._instrument(principal, symbol)
        command = SetCancelAfter(
            principal.account_id,
            request.timeout_ms * NS_PER_MS,
            None if symbols is None else tuple(symbols),
            request.keep_protective,
        )
        outcome = await self._submit(principal, command, None)
        at = None if outcome.trigger_ns is None else shapes.timestamp_text(outcome.trigger_ns)
        return schemas.CancelAfter(outcome.engine_seq, at)

    def acknowledged_seq(self, account_id: int) -> int:
        """Return the highest engine_seq this replica acknowledged for the account, 0 if none."""
        return self._acknowledged.get(account_id, 0)

    def _instrument(self, principal: Principal, symbol: str) -> Instrument:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise ApiError("unknown_symbol", "there is no such instrument", field="symbol")
        if principal.symbols is not None and symbol not in principal.symbols:
            raise ApiError("forbidden", "these credentials are not for this instrument", field="symbol")
        return instrument

    def _of(self, outcome: Outcome) -> Instrument:
        assert outcome.order is not None  # noqa: S101  # an outcome without rejection has its order
        instrument = self._instruments.get(outcome.order.terms.symbol)
        if instrument is None:
            raise ApiError("service_unavailable", "this replica does not know the instrument yet", retry_after_ms=500)
        return instrument

    async def _submit(
        self, principal: Principal, command: Command, session_id: str | None, deadline_ms: int | None = None
    ) -> Outcome:
        started = monotonic()
        try:
            outcome = await self._link.submit(command, session_id=session_id, deadline_ms=deadline_ms)
        except ApiError as error:
            metrics.ORDERS.labels(error.code).inc()
            raise
        finally:
            TIMES[Stage.LINK].add(monotonic() - started)
        self._remember(principal.account_id, outcome.engine_seq)
        metrics.ORDERS.labels(_code_of(outcome)).inc()
        if outcome.rejection is not None:
            symbol = command.symbol if isinstance(command, PlaceOrder) else None
            instrument = None if symbol is None else self._instruments.get(symbol)
            raise refused(outcome.rejection, self._instruments, instrument)
        return outcome

    def _remember(self, account_id: int, engine_seq: int) -> None:
        acknowledged = self._acknowledged
        acknowledged[account_id] = max(engine_seq, acknowledged.get(account_id, 0))
        acknowledged.move_to_end(account_id)
        if len(acknowledged) > ACKNOWLEDGED_ACCOUNTS_MAX:
            acknowledged.popitem(last=False)


def place_command(
    account_id: int, request: schemas.PlaceOrderRequest, instrument: Instrument, session_id: str | None
) -> PlaceOrder:
    """Return the command of an order body. Raises ApiError naming the field that makes no order."""
    for field in _NOT_YET:
        if getattr(request, field) is not None:
            raise ApiError("type_not_allowed", "the engine does not take this field yet", field=field)
    if request.reduce_only:
        raise ApiError("type_not_allowed", "the engine does not take this field yet", field="reduce_only")
    if request.quantity is None:
        raise ApiError("invalid_request", "expected a quantity", field="quantity")
    is_market = request.type is OrderType.MARKET
    if request.price is None and request.type is OrderType.LIMIT:
        raise ApiError("invalid_request", "a limit order needs a price", field="price")
    default_time = TimeInForce.IOC if is_market else TimeInForce.GTC
    slippage = None if request.max_slippage is None else rate_units(request.max_slippage, "max_slippage")
    return PlaceOrder(
        account_id,
        request.symbol,
        request.side,
        request.type,
        quantity_lots(request.quantity, instrument),
        None if request.price is None else price_ticks(request.price, instrument),
        default_time if request.time_in_force is None else request.time_in_force,
        request.client_order_id,
        request.post_only,
        SelfTradePrevention.CANCEL_NEWEST if request.stp is None else request.stp,
        request.label,
        slippage,
        session_id,
        expire_ns=None if request.expire_at is None else timestamp_ns(request.expire_at, field="expire_at"),
    )


def decimal_parts(text: str | None, field: str) -> tuple[int | None, int | None]:
    """Return mantissa and scale of a positive decimal, or two Nones for none."""
    if text is None:
        return None, None
    number = parse_decimal(text)
    if number is None or not 0 < number.mantissa <= ID_MAX:
        raise ApiError("invalid_request", "expected a positive decimal in plain notation", field=field)
    return number.mantissa, number.scale


def order_number(order_id: str) -> int:
    """Return an order id as the engine's number; text that cannot be one is an unknown order."""
    if not order_id.isascii() or not order_id.isdigit() or len(order_id) > 19 or int(order_id) > ID_MAX:
        raise ApiError("unknown_order", "there is no such order")
    return int(order_id)


def deadline_left_ms(text: str) -> int:
    """Return the milliseconds left until an RFC 3339 time. Raises ApiError when it is malformed or past."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError("invalid_request", "expected an RFC 3339 time", field="deadline") from None
    if at.tzinfo is None:
        raise ApiError("invalid_request", "expected a time with its zone", field="deadline")
    left = int(at.timestamp() * 1000) - time_ns() // 1_000_000
    if left <= 0:
        raise ApiError("deadline_exceeded", "the deadline passed before execution")
    return min(left, DEADLINE_MS_MAX)


def _code_of(outcome: Outcome) -> str:
    """Return the label under which an outcome is counted."""
    if outcome.rejection is not None:
        return outcome.rejection.reason.value
    return "duplicate" if outcome.duplicate else "accepted"


def _limited(principal: Principal) -> tuple[str, ...] | None:
    return None if principal.symbols is None else tuple(sorted(principal.symbols))


def _order_members(outcome: Outcome, instrument: Instrument) -> dict[str, object]:
    """Return the members of the order answer: the order and the book right after the command."""
    assert outcome.order is not None  # noqa: S101  # an outcome without rejection has its order
    members = shapes.order_members(outcome.order, instrument)
    members["book"] = None if outcome.book is None else shapes.quote_shape(outcome.book, instrument)
    # The command's own position: a repeated order was made by an earlier one.
    members["engine_seq"] = outcome.engine_seq
    return members
