"""Private events and snapshots as frames, in the wire's text. No I/O.

An event is rendered when it is first shown and shared by all sessions of its account; only
`prev_account_seq` may differ between sessions, so that number is filled in last.
"""

from collections.abc import Callable

from app.domain.decimals import format_scaled
from app.domain.enums import OrderStatus
from app.domain.events import (
    BalanceChanged,
    CancelAfterSet,
    OrderAmendRejected,
    OrderCancelRejected,
    OrderEvent,
    OrderRejected,
    PositionChanged,
    PrivateEvent,
    TradePrevented,
)
from app.domain.instrument import Instrument
from app.protocol import messages, schemas
from app.protocol.channels import PrivateChannel
from app.protocol.holdings import PositionFigures, position_shape
from app.protocol.messages import encode_frame
from app.protocol.ports import Instruments
from app.protocol.problems import problem_of
from app.protocol.rejections import rejection_error
from app.protocol.shapes import (
    event_fill,
    fill_shape,
    order_shape,
    price_text,
    quantity_text,
    rejected_order_shape,
    timestamp_text,
)
from app.streaming.sources import AccountEvent, AccountSeed

IsShown = Callable[[str | None], bool]
"""Whether a session's credentials may see what belongs to a symbol."""
OPEN_STATUSES = frozenset(
    {OrderStatus.UNTRIGGERED, OrderStatus.PENDING, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}
)


class EventFrames:
    """One private event and its frames."""

    __slots__ = ("_halves", "_instruments", "account_seq", "channels", "event", "symbol", "timestamp_ns")

    def __init__(self, source: AccountEvent, instruments: Instruments) -> None:
        self.event, self.timestamp_ns = source
        self.account_seq = self.event.account_seq
        self.channels = channels_of(self.event)
        self.symbol = symbol_of(self.event)
        self._instruments = instruments
        self._halves: dict[PrivateChannel, tuple[str, str]] = {}

    def text(self, channel: PrivateChannel, prev_account_seq: int) -> str:
        """Return a `messages.PrivateEvent` as JSON."""
        halves = self._halves.get(channel)
        if halves is None:
            halves = self._halves[channel] = self._render(channel)
        return f"{halves[0]}{prev_account_seq}{halves[1]}"

    def _render(self, channel: PrivateChannel) -> tuple[str, str]:
        event = self.event
        name = event.__struct_config__.tag
        body = encode_frame(event_members(event, channel, self.timestamp_ns, self._instruments))
        head = f'{{"type":"event","channel":"{channel}","event":"{name}","account_seq":{self.account_seq},'
        tail = f',"engine_seq":{event.engine_seq},"ts":"{timestamp_text(self.timestamp_ns)}"'
        return f'{head}"prev_account_seq":', f"{tail},{body[1:]}" if len(body) > 2 else tail + "}"


def channels_of(event: PrivateEvent) -> tuple[PrivateChannel, ...]:
    """Return the channels that show an event."""
    if isinstance(event, BalanceChanged):
        return (PrivateChannel.BALANCES,)
    if isinstance(event, PositionChanged):
        return (PrivateChannel.POSITIONS,)
    if isinstance(event, OrderEvent) and event_fill(event) is not None:
        return PrivateChannel.ORDERS, PrivateChannel.FILLS
    return (PrivateChannel.ORDERS,)


def symbol_of(event: PrivateEvent) -> str | None:
    """Return the symbol that credentials must be good for to see an event; None is seen by all of the account's."""
    if isinstance(event, OrderEvent):
        return event.order.terms.symbol
    if isinstance(event, OrderRejected):
        return event.terms.symbol
    return event.symbol if isinstance(event, TradePrevented | PositionChanged) else None


def event_members(
    event: PrivateEvent, channel: PrivateChannel, timestamp_ns: int, instruments: Instruments
) -> dict[str, object]:
    """Return what a frame tells beside its sequences."""
    if isinstance(event, BalanceChanged):
        return {"balance": balance_shape(event.asset, int(event.available), int(event.held), instruments)}
    if isinstance(event, PositionChanged):
        return {"position": position_shape(figures_of(event), _known(event.symbol, instruments))}
    if isinstance(event, OrderEvent):
        instrument = _known(event.order.terms.symbol, instruments)
        fill = event_fill(event)
        members: dict[str, object] = {}
        if channel is PrivateChannel.ORDERS:
            members["order"] = order_shape(event.order, instrument)
        if fill is not None:
            members["fill"] = fill_shape(fill, event.order, instrument, timestamp_ns)
        return members
    if isinstance(event, TradePrevented):
        return {"prevention": _prevention(event, _known(event.symbol, instruments))}
    if isinstance(event, CancelAfterSet):
        return {}
    return _refusal_members(event, timestamp_ns, instruments)


def figures_of(event: PositionChanged) -> PositionFigures:
    """Return the position after an event."""
    figures = map(int, (event.quantity, event.cost, event.realized_pnl, event.fees))
    return PositionFigures(event.symbol, *figures)


def _refusal_members(
    event: OrderRejected | OrderCancelRejected | OrderAmendRejected, timestamp_ns: int, instruments: Instruments
) -> dict[str, object]:
    if isinstance(event, OrderRejected):
        instrument = instruments.get(event.terms.symbol)
        refusal: dict[str, object] = {
            "error": problem_of(rejection_error(event.rejection, instruments, instrument), None)
        }
        if instrument is not None:
            refusal["order"] = rejected_order_shape(event, instrument, timestamp_ns)
        return refusal
    members: dict[str, object] = {"error": problem_of(rejection_error(event.rejection, instruments), None)}
    if event.order_id is not None:
        members["order_id"] = str(event.order_id)
    if isinstance(event, OrderCancelRejected) and event.client_order_id is not None:
        members["client_order_id"] = event.client_order_id
    return members


def snapshot_text(channel: PrivateChannel, seed: AccountSeed, instruments: Instruments, is_shown: IsShown) -> str:
    """Return a `messages.PrivateSnapshot` as JSON; past fills are no state, so theirs is empty."""
    frame = messages.PrivateSnapshot(channel=channel, account_seq=seed.account_seq)
    if channel is PrivateChannel.ORDERS:
        shown = [state for state in seed.orders if is_shown(state.terms.symbol)]
        frame.orders = [order_shape(state, _known(state.terms.symbol, instruments)) for state in shown]
    elif channel is PrivateChannel.BALANCES:
        frame.balances = [balance_shape(asset, units, held, instruments) for asset, units, held in seed.balances]
    elif channel is PrivateChannel.POSITIONS:
        held = [figures for figures in seed.positions if is_shown(figures.symbol)]
        frame.positions = [position_shape(figures, _known(figures.symbol, instruments)) for figures in held]
    else:
        frame.fills = []
    return encode_frame(frame)


def balance_shape(asset: str, available: int, held: int, instruments: Instruments) -> schemas.Balance:
    """Return the balance object of amounts in asset units."""
    scale = instruments.asset_scale(asset)
    if scale is None:
        raise LookupError(f"asset {asset} is not in the catalog")
    return schemas.Balance(asset=asset, available=format_scaled(available, scale), held=format_scaled(held, scale))


def _known(symbol: str, instruments: Instruments) -> Instrument:
    instrument = instruments.get(symbol)
    if instrument is None:
        raise LookupError(f"instrument {symbol} is not in the catalog")
    return instrument


def _prevention(event: TradePrevented, instrument: Instrument) -> messages.Prevention:
    return messages.Prevention(
        symbol=event.symbol,
        taker_order_id=str(event.taker_order_id),
        maker_order_id=str(event.maker_order_id),
        price=price_text(event.price, instrument),
        quantity=quantity_text(event.quantity, instrument),
        stp=event.mode,
    )
