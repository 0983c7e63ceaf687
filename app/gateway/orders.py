"""The gateway's order calls: check what needs no engine, submit, render the outcome."""

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from app import metrics
from app.domain.commands import (
    CancelAll,
    CancelOrder,
    CheckOrder,
    Command,
    GuardSession,
    PlaceBatch,
    PlaceList,
    PlaceOrder,
    SetCancelAfter,
)
from app.domain.enums import DisconnectScope, Side
from app.domain.events import Rejection
from app.domain.identity import Principal, SessionKey
from app.domain.instrument import Instrument
from app.domain.outcomes import Outcome
from app.errors import ApiError
from app.gateway.answers import checked_order, order_members, placed_order
from app.gateway.batches import BatchPlan
from app.gateway.terms import amend_command, deadline_left_ms, order_number, place_command
from app.protocol import schemas, shapes
from app.protocol.field_rules import NO_LIST
from app.protocol.ports import CommandLink, Instruments
from app.protocol.rejections import rejection_error
from app.stages import TIMES, Stage

ACKNOWLEDGED_ACCOUNTS_MAX = 100_000
"""Accounts whose last acknowledged sequence a replica remembers, for reading one's own writes."""
NS_PER_MS = 1_000_000


P = ParamSpec("P")
R = TypeVar("R")


def _measured(call: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Count how long an order call takes, refused ones as well, and each refusal by its code."""

    @wraps(call)
    async def measured(*arguments: P.args, **members: P.kwargs) -> R:
        started = monotonic()
        try:
            return await call(*arguments, **members)
        except ApiError as error:
            metrics.ORDERS.labels(error.code).inc()
            raise
        finally:
            TIMES[Stage.GATEWAY].add(monotonic() - started)

    return measured


class OrderGateway:
    """Implements ports.OrderEntry."""

    def __init__(self, link: CommandLink, instruments: Instruments) -> None:
        self._link = link
        self._instruments = instruments
        self._acknowledged: OrderedDict[int, int] = OrderedDict()

    @_measured
    async def place(
        self, principal: Principal, request: schemas.PlaceOrderRequest, *, session_id: str | None = None
    ) -> schemas.PlacedOrder:
        """Place one order."""
        instrument = self._instrument(principal, request.symbol)
        command = place_command(principal.account_id, request, instrument, session_id)
        outcome = await self._submit(principal, command, session_id, deadline_left_ms([request.deadline]))
        return placed_order(outcome, instrument)

    @_measured
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
        members = order_members(outcome, self._of(outcome))
        return schemas.CanceledOrder(**members)  # type: ignore[arg-type]  # members match by construction, tested

    @_measured
    async def amend(
        self,
        principal: Principal,
        order_id: str,
        request: schemas.AmendOrderRequest,
        *,
        session_id: str | None = None,
    ) -> schemas.AmendedOrder:
        """Change price, trigger or quantities of an open order."""
        command = amend_command(principal.account_id, order_id, request, _limited(principal))
        outcome = await self._submit(principal, command, session_id)
        members = order_members(outcome, self._of(outcome))
        return schemas.AmendedOrder(**members, priority=outcome.priority)  # type: ignore[arg-type]  # members match by construction, tested

    @_measured
    async def cancel_all(
        self,
        principal: Principal,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        label: str | None = None,
        order_list_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrders:
        """Cancel every open order that matches, atomically."""
        if symbol is not None:
            self._instrument(principal, symbol)
        elif principal.symbols is not None:
            raise ApiError("forbidden", "these credentials are limited to instruments: name the symbol", field="symbol")
        list_number = None if order_list_id is None else order_number(order_list_id)
        command = CancelAll(principal.account_id, symbol, side, label, order_list_id=list_number)
        outcome = await self._submit(principal, command, session_id)
        return schemas.CanceledOrders(engine_seq=outcome.engine_seq, canceled=self._shapes(outcome))

    @_measured
    async def place_batch(
        self, principal: Principal, request: schemas.BatchRequest, *, session_id: str | None = None
    ) -> schemas.PlacedBatch:
        """Place several orders in one command, each by itself or all of them or none."""
        plan = BatchPlan(request, partial(self._terms, principal, session_id=session_id))
        if plan.commands:
            deadline_ms = deadline_left_ms([order.deadline for order in request.orders])
            command = PlaceBatch(principal.account_id, plan.commands, request.atomic)
            plan.take(await self._submit(principal, command, session_id, deadline_ms))
        for code in plan.refused_codes:
            metrics.ORDERS.labels(code).inc()
        return plan.answer(self._instruments)

    @_measured
    async def place_list(
        self, principal: Principal, request: schemas.OrderListRequest, *, session_id: str | None = None
    ) -> schemas.PlacedList:
        """Place orders that depend on each other."""
        orders = request.orders
        commands = tuple([self._terms(principal, order, session_id=session_id) for order in orders])
        command = PlaceList(principal.account_id, request.kind, commands)
        deadline_ms = deadline_left_ms([order.deadline for order in orders])
        outcome = await self._submit(principal, command, session_id, deadline_ms)
        return schemas.PlacedList(
            order_list_id=str(outcome.order_list_id),
            orders=self._shapes(outcome),
            duplicate=outcome.duplicate,
            engine_seq=outcome.engine_seq,
        )

    @_measured
    async def check(self, principal: Principal, request: schemas.PlaceOrderRequest) -> schemas.CheckedOrder:
        """Run every check of an order without placing it."""
        command = CheckOrder(self._terms(principal, request, session_id=None))
        outcome = await self._submit(principal, command, None, deadline_left_ms([request.deadline]))
        return checked_order(outcome, self._instruments, self._instrument(principal, request.symbol))

    async def guard_session(
        self, key: SessionKey, scope: DisconnectScope | None, grace_ms: int, *, is_adopted: bool = False
    ) -> None:
        """Have orders canceled so long after a session is gone, or no more."""
        command = GuardSession(*key, scope, grace_ms * NS_PER_MS, is_adopted)
        outcome = await self._link.submit(command, session_id=key.session_id)
        if outcome.rejection is not None:
            raise rejection_error(outcome.rejection, self._instruments, None)

    @_measured
    async def cancel_after(
        self, principal: Principal, request: schemas.CancelAfterRequest, *, session_id: str | None = None
    ) -> schemas.CancelAfter:
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
        outcome = await self._submit(principal, command, session_id)
        at = None if outcome.trigger_ns is None else shapes.timestamp_text(outcome.trigger_ns)
        return schemas.CancelAfter(outcome.engine_seq, at)

    def acknowledge(self, account_id: int, engine_seq: int) -> None:
        """Note a sequence that this replica acknowledged to the account."""
        acknowledged = self._acknowledged
        acknowledged[account_id] = max(engine_seq, acknowledged.get(account_id, 0))
        acknowledged.move_to_end(account_id)
        if len(acknowledged) > ACKNOWLEDGED_ACCOUNTS_MAX:
            acknowledged.popitem(last=False)

    def acknowledged_seq(self, account_id: int) -> int:
        """Return the highest engine_seq this replica acknowledged for the account, 0 if none."""
        return self._acknowledged.get(account_id, 0)

    def _terms(self, principal: Principal, request: schemas.PlaceOrderRequest, *, session_id: str | None) -> PlaceOrder:
        instrument = self._instrument(principal, request.symbol)
        return place_command(principal.account_id, request, instrument, session_id)

    def _shapes(self, outcome: Outcome) -> list[schemas.Order]:
        """Return the orders of an outcome whose instruments this replica knows."""
        known = [(state, self._instruments.get(state.terms.symbol)) for state in outcome.orders]
        return [shapes.order_shape(state, instrument) for state, instrument in known if instrument is not None]

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
        finally:
            TIMES[Stage.LINK].add(monotonic() - started)
        self.acknowledge(principal.account_id, outcome.engine_seq)
        if outcome.rejection is not None:
            symbol = symbol_of(command)
            instrument = outcome.instrument if symbol is None else self._instruments.get(symbol)
            refusal = rejection_error(outcome.rejection, self._instruments, instrument)
            if refusal.field == "orders" and isinstance(command, PlaceList):
                refusal.detail = NO_LIST
            raise refusal
        for code in _codes_of(outcome):
            metrics.ORDERS.labels(code).inc()
        return outcome


def symbol_of(command: Command) -> str | None:
    """Return the instrument that a refusal of the command would speak of, where the command names it."""
    match command:
        case PlaceOrder():
            return command.symbol
        case PlaceList(orders=(first, *_)):
            return first.symbol
        case CheckOrder():
            return command.order.symbol
    return None


def _codes_of(outcome: Outcome) -> list[str]:
    """Return the labels under which an outcome that is no refusal is counted: one for each order of a batch."""
    parts = outcome.results or (outcome,)
    return [_code_of(part.rejection, is_duplicate=part.duplicate) for part in parts]


def _code_of(rejection: Rejection | None, *, is_duplicate: bool) -> str:
    if rejection is not None:
        return rejection.reason.value
    return "duplicate" if is_duplicate else "accepted"


def _limited(principal: Principal) -> tuple[str, ...] | None:
    return None if principal.symbols is None else tuple(sorted(principal.symbols))
