"""Batches: which orders go to the engine, and what became of each, in the order that was asked.

In a batch that is not atomic an order that cannot be read (no multiple of the tick, another's instrument)
is refused by itself and the others are placed; of an atomic one nothing is sent.
"""

from collections.abc import Callable

from app.domain.commands import PlaceOrder
from app.domain.outcomes import BatchResult, Outcome
from app.errors import ApiError
from app.gateway.answers import fill_shapes
from app.protocol import schemas, shapes
from app.protocol.field_rules import SAME_BATCH
from app.protocol.ports import Instruments
from app.protocol.problems import problem_of
from app.protocol.rejections import rejection_error


class BatchPlan:
    """The orders of one batch, before and after the engine has had them."""

    def __init__(
        self, request: schemas.BatchRequest, terms_of: Callable[[schemas.PlaceOrderRequest], PlaceOrder]
    ) -> None:
        self.commands: tuple[PlaceOrder, ...] = ()
        """What is sent, in the order of the batch."""
        self._refused: dict[int, ApiError] = {}
        self._symbols = [order.symbol for order in request.orders]
        self._outcome: Outcome | None = None
        _require_names(request)
        commands = []
        for index, order in enumerate(request.orders):
            try:
                commands.append(terms_of(order))
            except ApiError as error:
                if request.atomic:
                    error.field = f"orders[{index}].{error.field}" if error.field else f"orders[{index}]"
                    raise
                self._refused[index] = error
        self.commands = tuple(commands)

    @property
    def refused_codes(self) -> list[str]:
        """Return the codes of the orders that were not sent."""
        return [error.code for error in self._refused.values()]

    def take(self, outcome: Outcome) -> None:
        """Take the engine's answer to what was sent."""
        self._outcome = outcome

    def answer(self, instruments: Instruments) -> schemas.PlacedBatch:
        """Return the answer in the order of the batch."""
        results = iter(self._outcome.results if self._outcome is not None else ())
        entries = []
        for index, symbol in enumerate(self._symbols):
            error = self._refused.get(index)
            if error is not None:
                entries.append(schemas.BatchEntry(error=problem_of(error, None)))
            else:
                entries.append(self._entry(next(results), symbol, instruments))
        engine_seq = None if self._outcome is None else self._outcome.engine_seq
        return schemas.PlacedBatch(engine_seq=engine_seq, results=entries)

    def _entry(self, result: BatchResult, symbol: str, instruments: Instruments) -> schemas.BatchEntry:
        instrument = instruments.get(symbol)
        if result.rejection is not None:
            refusal = rejection_error(result.rejection, instruments, instrument)
            if refusal.field == "orders":
                refusal.detail = SAME_BATCH
            return schemas.BatchEntry(error=problem_of(refusal, None))
        assert self._outcome is not None and result.order is not None and instrument is not None  # noqa: S101  # what was sent is known
        members = shapes.order_members(result.order, instrument)
        fills = fill_shapes(result.fills, result.order, instrument, self._outcome.timestamp_ns)
        return schemas.BatchEntry(
            order=schemas.PlacedOrder(**members, fills=fills, duplicate=result.duplicate, book=None)  # type: ignore[arg-type]  # members match by construction, tested
        )


def _require_names(request: schemas.BatchRequest) -> None:
    """Refuse a batch that could not be repeated safely: every order needs a client_order_id of its own."""
    seen: set[str] = set()
    for index, order in enumerate(request.orders):
        field = f"orders[{index}].client_order_id"
        if order.client_order_id is None:
            raise ApiError("invalid_request", "every order of a batch needs a client_order_id", field=field)
        if order.client_order_id in seen:
            raise ApiError("invalid_request", "the client_order_id is there twice", field=field)
        seen.add(order.client_order_id)
