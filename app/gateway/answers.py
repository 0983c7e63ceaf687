"""From an outcome to the answer that both transports send."""

from app.domain.events import Fill, OrderState
from app.domain.instrument import Instrument
from app.domain.outcomes import CheckResult, Outcome
from app.protocol import schemas, shapes
from app.protocol.ports import Instruments
from app.protocol.rejections import number_text


def order_members(outcome: Outcome, instrument: Instrument) -> dict[str, object]:
    """Return the members of an order answer: the order and the book right after the command."""
    assert outcome.order is not None  # noqa: S101  # an outcome without rejection has its order
    members = shapes.order_members(outcome.order, instrument)
    members["book"] = None if outcome.book is None else shapes.quote_shape(outcome.book, instrument)
    # The command's own position: a repeated order was made by an earlier one.
    members["engine_seq"] = outcome.engine_seq
    return members


def placed_order(outcome: Outcome, instrument: Instrument) -> schemas.PlacedOrder:
    """Return the answer of a placed order."""
    assert outcome.order is not None  # noqa: S101  # an outcome without rejection has its order
    fills = fill_shapes(outcome.fills, outcome.order, instrument, outcome.timestamp_ns)
    members = order_members(outcome, instrument)
    return schemas.PlacedOrder(**members, fills=fills, duplicate=outcome.duplicate)  # type: ignore[arg-type]  # members match by construction, tested


def fill_shapes(
    fills: tuple[Fill, ...], order: OrderState, instrument: Instrument, timestamp_ns: int
) -> list[schemas.Fill]:
    """Return an order's fills of one command."""
    return [shapes.fill_shape(fill, order, instrument, timestamp_ns) for fill in fills]


def checked_order(outcome: Outcome, instruments: Instruments, instrument: Instrument) -> schemas.CheckedOrder:
    """Return the answer of an order that was only validated."""

    def shape(check: CheckResult) -> schemas.OrderCheck:
        limit, used, headroom = [
            number_text(number, check.unit, instruments, instrument)
            for number in (check.limit, check.used, _headroom(check))
        ]
        return schemas.OrderCheck(check=check.check, passed=check.passed, limit=limit, used=used, headroom=headroom)

    checks = [shape(check) for check in outcome.checks]
    valid = all(check.passed for check in checks)
    return schemas.CheckedOrder(valid=valid, checks=checks, engine_seq=outcome.engine_seq)


def _headroom(check: CheckResult) -> str | None:
    """Return the distance from the limit: of a lower bound too it is positive when the check passed."""
    if check.limit is None or check.used is None:
        return None
    distance = abs(int(check.limit) - int(check.used))
    return str(distance if check.passed else -distance)
