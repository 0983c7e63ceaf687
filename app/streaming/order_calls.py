"""From a client's order message to the gateway's call, and from its answer to the reply. No I/O."""

from collections.abc import Awaitable, Callable
from functools import partial

from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol import messages, schemas
from app.protocol.ports import OrderEntry
from app.streaming.order_lane import OrderAnswer


def order_call(
    entry: OrderEntry, principal: Principal, message: messages.OrderMessage, session_id: str
) -> Callable[[], Awaitable[OrderAnswer]]:
    """Return the call that a message asks for. Raises ApiError."""
    match message:
        case messages.OrderPlace():
            return partial(entry.place, principal, message.order, session_id=session_id)
        case messages.OrderBatch():
            batch = schemas.BatchRequest(message.orders, message.atomic)
            return partial(entry.place_batch, principal, batch, session_id=session_id)
        case messages.OrderCancel():
            ids = {"order_id": message.order_id, "client_order_id": message.client_order_id}
            if all(ids.values()) or not any(ids.values()):
                raise ApiError("invalid_request", "Expected order_id or client_order_id.", field="order_id")
            return partial(entry.cancel, principal, **ids, session_id=session_id)
        case messages.OrderAmend():
            return partial(entry.amend, principal, message.order_id, message.request(), session_id=session_id)
        case messages.OrderCancelAll():
            return partial(
                entry.cancel_all,
                principal,
                symbol=message.symbol,
                side=message.side,
                label=message.label,
                order_list_id=message.order_list_id,
                session_id=session_id,
            )
        case messages.CancelAfter():
            switch = schemas.CancelAfterRequest(message.timeout_ms, message.symbols, message.keep_protective)
            return partial(entry.cancel_after, principal, switch, session_id=session_id)


def result_frame(message_id: str | None, answer: OrderAnswer) -> messages.Result:
    """Return the reply that carries an answer."""
    match answer:
        case schemas.CanceledOrders():
            return messages.Result(id=message_id, engine_seq=answer.engine_seq, canceled=answer.canceled)
        case schemas.PlacedBatch():
            return messages.Result(id=message_id, engine_seq=answer.engine_seq, results=answer.results)
        case schemas.CancelAfter():
            return messages.Result(id=message_id, engine_seq=answer.engine_seq, trigger_at=answer.trigger_at)
        case _:
            return messages.Result(id=message_id, order=answer)
