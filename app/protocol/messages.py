"""Frames of `GET /v1/stream`: what clients send, by `action`, and what they get, by `type`.

Client messages are strict: unknown actions and fields are refused. Book, ticker and trade frames
are rendered as text by `streaming.frames` for speed; tests decode that text with the types here,
so the two cannot drift. Members that are None or empty by default are left out of a frame.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.domain.enums import Side
from app.errors import ApiError
from app.protocol import fields, schemas
from app.protocol.holdings import Position
from app.protocol.validation import invalid_request

MessageId = Annotated[str, Meta(max_length=64)]
ChannelName = Annotated[str, Meta(max_length=64)]
Levels = list[tuple[str, str]]
DEPTH_MAX = 5000
GRACE_MS_MAX = 300_000
IntervalMs = Literal[16, 100, 1000]


class ClientMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="action", forbid_unknown_fields=True):
    """Base of every client message; `id` is echoed in the reply."""

    id: MessageId | None = None


class BookOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one order book subscription; the default is every delta of the full book."""

    depth: Annotated[int, Meta(ge=1, le=DEPTH_MAX)] | None = None
    interval_ms: IntervalMs | None = None
    checksum: bool = False


class Subscribe(ClientMessage, frozen=True, tag="subscribe"):
    """Join channels; joining again starts the channel over with a fresh first frame."""

    channels: Annotated[list[ChannelName], Meta(min_length=1)]
    options: dict[ChannelName, BookOptions] = {}
    resume_from: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    """For private channels: replay the account's events after this account_seq instead of a snapshot."""


class Unsubscribe(ClientMessage, frozen=True, tag="unsubscribe"):
    """Leave channels; one that was not joined is no error."""

    channels: Annotated[list[ChannelName], Meta(min_length=1)]


class ListChannels(ClientMessage, frozen=True, tag="list"):
    """Ask which channels are joined."""


class Auth(ClientMessage, frozen=True, tag="auth"):
    """Authenticate by access token, or by key, timestamp (ms) and signature of `timestamp + GET + /v1/stream`."""

    token: Annotated[str, Meta(max_length=4096)] | None = None
    key: Annotated[str, Meta(max_length=128)] | None = None
    timestamp: Annotated[str, Meta(max_length=20)] | Annotated[int, Meta(ge=0)] | None = None
    recv_window: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    signature: Annotated[str, Meta(max_length=256)] | None = None


class Logout(ClientMessage, frozen=True, tag="logout"):
    """Give the authentication up; private channels end, public ones stay."""


class Ping(ClientMessage, frozen=True, tag="ping"):
    """Ask for a pong."""


class OrderPlace(ClientMessage, frozen=True, tag="order.place"):
    """Place one order; the same body as `POST /v1/orders`."""

    order: schemas.PlaceOrderRequest


class OrderBatch(ClientMessage, frozen=True, tag="order.batch"):
    """Place several orders; the same members as `POST /v1/orders/batch`."""

    orders: Annotated[list[schemas.PlaceOrderRequest], Meta(min_length=1, max_length=schemas.BATCH_ORDERS_MAX)]
    atomic: bool = False


class OrderCancel(ClientMessage, frozen=True, tag="order.cancel"):
    """Cancel one order by exactly one of its ids."""

    order_id: fields.IdText | None = None
    client_order_id: fields.ClientOrderId | None = None


class OrderAmend(ClientMessage, frozen=True, tag="order.amend"):
    """Amend one order; beside the id the same members as `PATCH /v1/orders/{order_id}`."""

    order_id: fields.IdText
    price: fields.DecimalText | None = None
    quantity: fields.DecimalText | None = None
    display_quantity: fields.DecimalText | None = None
    trigger_price: fields.DecimalText | None = None
    if_version: fields.Version | None = None

    def request(self) -> schemas.AmendOrderRequest:
        """Return the REST body of the same meaning."""
        return schemas.AmendOrderRequest(
            self.price, self.quantity, self.display_quantity, self.trigger_price, self.if_version
        )


class OrderCancelAll(ClientMessage, frozen=True, tag="order.cancel_all"):
    """Cancel every open order that matches all given filters."""

    symbol: fields.SymbolText | None = None
    side: Side | None = None
    label: fields.Label | None = None
    order_list_id: fields.IdText | None = None


class CancelAfter(ClientMessage, frozen=True, tag="cancel_after"):
    """Arm the dead man's switch anew, or disarm it with 0; the same members as `POST /v1/cancel-after`."""

    timeout_ms: schemas.CancelAfterMs
    symbols: schemas.SymbolTexts | None = None
    keep_protective: bool = False


class SessionMessage(ClientMessage, frozen=True, tag="session"):
    """Say what becomes of this session's orders when its socket is gone; a member left out stays as it is."""

    cancel_on_disconnect: Literal["off", "session", "account"] | None = None
    grace_ms: Annotated[int, Meta(ge=0, le=GRACE_MS_MAX)] | None = None
    adopt: Annotated[str, Meta(max_length=64)] | None = None
    """A guarded session of the account whose orders this one takes over."""


OrderMessage = OrderPlace | OrderBatch | OrderCancel | OrderAmend | OrderCancelAll | CancelAfter
AnyClientMessage = Subscribe | Unsubscribe | ListChannels | Auth | Logout | Ping | SessionMessage | OrderMessage


class ServerFrame(msgspec.Struct, kw_only=True, tag_field="type", omit_defaults=True):
    """Base of every server frame."""


class Reply(ServerFrame, kw_only=True):
    """Base of the frames that answer a client message."""

    id: str | None = None


class Limits(msgspec.Struct, kw_only=True):
    """What a session may do; messages_per_s null is no limit."""

    channels: int
    message_bytes: int
    messages_per_s: float | None


class Welcome(ServerFrame, kw_only=True, tag="welcome"):
    """First frame of every session."""

    session_id: str
    server_time: str
    ping_interval_ms: int
    limits: Limits


class FailedChannel(msgspec.Struct, kw_only=True):
    """A channel that could not be joined, and why."""

    channel: str
    error: schemas.Problem


class Subscribed(Reply, kw_only=True, tag="subscribed"):
    """Answer of subscribe: which of the asked channels are joined; their first frames follow."""

    channels: list[str]
    failed: list[FailedChannel]


class Unsubscribed(Reply, kw_only=True, tag="unsubscribed"):
    """Answer of unsubscribe."""

    channels: list[str]


class ChannelList(Reply, kw_only=True, tag="list"):
    """Answer of list."""

    channels: list[str]


class Authenticated(Reply, kw_only=True, tag="authenticated"):
    """Answer of auth."""

    account_id: str
    scopes: list[str]


class Pong(Reply, kw_only=True, tag="pong"):
    """Answer of ping."""

    server_time: str


class Result(Reply, kw_only=True, tag="result"):
    """Answer of every other action: of place, cancel and amend the order, of the others their own members."""

    order: schemas.PlacedOrder | schemas.CanceledOrder | schemas.AmendedOrder | None = None
    engine_seq: int | None = None
    canceled: list[schemas.Order] | None = None
    results: list[schemas.BatchEntry] | None = None
    trigger_at: str | None = None


class ErrorFrame(Reply, kw_only=True, tag="error"):
    """A client message was refused; nothing changed."""

    error: schemas.Problem


class Heartbeat(ServerFrame, kw_only=True, tag="heartbeat"):
    """Every second: what this socket has been sent, so that a lost tail shows."""

    ts: str
    engine_seq: int
    books: dict[str, int]
    account_seq: int | None = None
    lag_ms: int


class BookSnapshotFrame(ServerFrame, kw_only=True, tag="snapshot"):
    """The whole view of a book at `seq`."""

    channel: str
    epoch: int
    seq: int
    engine_seq: int
    ts: str
    bids: Levels
    asks: Levels
    reason: Literal["subscribe", "resync", "epoch"]
    checksum: int | None = None


class BookDeltaFrame(ServerFrame, kw_only=True, tag="delta"):
    """What changed in a book between prev_seq and seq: absolute quantities, "0" removes the price."""

    channel: str
    epoch: int
    prev_seq: int
    seq: int
    engine_seq: int
    ts: str
    bids: Levels
    asks: Levels
    checksum: int | None = None


class TickerFrame(schemas.Ticker, kw_only=True, tag_field="type", tag="ticker"):
    """The ticker as it stands."""

    channel: str


class TradesFrame(ServerFrame, kw_only=True, tag="trades"):
    """Trades with contiguous ids, oldest first."""

    channel: str
    trades: list[schemas.Trade]


class PrivateSnapshot(ServerFrame, kw_only=True, tag="snapshot"):
    """State of a private channel after the account's event `account_seq`; exactly one of the lists is there."""

    channel: str
    account_seq: int
    orders: list[schemas.Order] | None = None
    fills: list[schemas.Fill] | None = None
    balances: list[schemas.Balance] | None = None
    positions: list[Position] | None = None


class Prevention(msgspec.Struct, kw_only=True):
    """Two orders of one account that self-trade prevention kept apart."""

    symbol: str
    taker_order_id: str
    maker_order_id: str
    price: str
    quantity: str
    stp: str


class PrivateEvent(ServerFrame, kw_only=True, tag="event"):
    """One event of the account, as its channel shows it."""

    channel: str
    event: str
    account_seq: int
    prev_account_seq: int
    engine_seq: int
    ts: str
    order: schemas.Order | None = None
    fill: schemas.Fill | None = None
    balance: schemas.Balance | None = None
    position: Position | None = None
    prevention: Prevention | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    error: schemas.Problem | None = None
    trigger_at: str | None = None
    """When an armed dead man's switch fires; it is disarmed without."""
    fired: bool | None = None


class ResumeExpired(ServerFrame, kw_only=True, tag="resume_expired"):
    """The events after resume_from are no longer kept from there on; a snapshot follows."""

    oldest: int


class Lagging(ServerFrame, kw_only=True, tag="lagging"):
    """The backlog of these state channels was dropped; each gets a fresh first frame once the rest is read."""

    channels: list[str]


class Status(ServerFrame, kw_only=True, tag="status"):
    """Whether this replica follows the exchange (`stale`, `live` again); on the channel `status`, how all of it is."""

    state: Literal["stale", "live"] | None = None
    channel: Literal["status"] | None = None
    mode: Literal["normal", "degraded", "cancel_only", "read_only"] | None = None
    reasons: dict[str, str] | None = None
    ts: str | None = None


class Shutdown(ServerFrame, kw_only=True, tag="shutdown"):
    """The replica stops; reconnect after the given time, to any replica."""

    reconnect_after_ms: int


class _Envelope(msgspec.Struct):
    id: MessageId | None = None


_client: msgspec.json.Decoder[AnyClientMessage] = msgspec.json.Decoder(AnyClientMessage)
_envelope = msgspec.json.Decoder(_Envelope)
_encoder = msgspec.json.Encoder()


def decode_client(text: str) -> AnyClientMessage:
    """Return a client's message. Raises ApiError `invalid_json` or `invalid_request` with the field."""
    try:
        return _client.decode(text)
    except msgspec.ValidationError as error:
        raise invalid_request(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise ApiError("invalid_json", "Expected one JSON object.") from None


def echo_id(text: str) -> str | None:
    """Return the id of a message that may be broken otherwise, for the error that answers it."""
    try:
        return _envelope.decode(text).id
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def encode_frame(frame: object) -> str:
    """Return a frame, or a part of one, as JSON text."""
    return _encoder.encode(frame).decode()
