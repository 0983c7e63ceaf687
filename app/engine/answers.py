"""Brings the answer to a command up to date: an order it shows may have moved on before the command ended."""

from collections import defaultdict
from collections.abc import Iterable

from app.domain.enums import Liquidity
from app.domain.events import Event, Fill, OrderEvent, OrderFilled, OrderPartiallyFilled, OrderState
from app.domain.outcomes import BatchResult, Outcome

# On Python 3.11 an enum member looked up on its class costs fifteen times a global.
_TAKER = Liquidity.TAKER


def catch_up(outcome: Outcome, events: Iterable[Event]) -> None:
    """Let an outcome show its orders as later events of its command state them, with what they took.

    A duplicate stays as it was found: the command did nothing with it.
    """
    newest: dict[int, OrderState] = {}
    taken: defaultdict[int, list[Fill]] = defaultdict(list)
    for event in events:
        if not isinstance(event, OrderEvent):
            continue
        newest[event.order.order_id] = event.order
        if isinstance(event, OrderPartiallyFilled | OrderFilled) and event.fill.liquidity is _TAKER:
            taken[event.order.order_id].append(event.fill)
    answers: list[Outcome | BatchResult] = [outcome, *outcome.results]
    for answer in answers:
        shown = answer.order
        if shown is not None and not answer.duplicate:
            answer.order = newest.get(shown.order_id, shown)
            answer.fills = answer.fills + tuple(taken[shown.order_id])
    if not outcome.duplicate:
        outcome.orders = tuple([newest.get(shown.order_id, shown) for shown in outcome.orders])
