"""One WebSocket session: client messages in, frames into the outbox. No socket here.

`endpoint.py` feeds `receive` with text and writes what the outbox holds. Actions that need an
answer from elsewhere (auth, orders) are begun in the order they came; everything else is answered
on the spot. A session that must end gets a close code; the endpoint does the rest.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.domain.identity import Principal
from app.errors import ApiError
from app.protocol import messages
from app.protocol.channels import PrivateChannel, parse_channel
from app.protocol.close_codes import Close
from app.protocol.codes import CODES
from app.protocol.messages import AnyClientMessage, ServerFrame, decode_client, echo_id, encode_frame
from app.protocol.ports import Authenticator, OrderEntry, SessionHolds
from app.protocol.problems import problem_of
from app.protocol.schemas import Problem
from app.protocol.shapes import timestamp_text
from app.streaming.disconnects import SessionGuard
from app.streaming.hub import Beat, Hub
from app.streaming.key_watch import KeyWatch
from app.streaming.limits import MessageRate, SessionLimits
from app.streaming.order_calls import order_call, result_frame
from app.streaming.order_lane import OrderAnswer, OrderLane, refusal_of
from app.streaming.outbox import Outbox
from app.streaming.private import PrivateStream
from app.streaming.subscriptions import Subscriptions, options_of

PING_INTERVAL_MS = 20_000
RECONNECT_MS_MAX = 5_000
"""Clients of a replica that stops come back spread over this time."""
STREAM_TARGET = "/v1/stream"


@dataclass(frozen=True, kw_only=True)
class SessionContext:
    """What all sessions of a replica share."""

    hub: Hub
    authenticator: Authenticator
    order_entry: OrderEntry
    limits: SessionLimits
    holds: SessionHolds
    key_watch: KeyWatch
    clock_s: Callable[[], float] = time.monotonic
    now_ns: Callable[[], int] = time.time_ns


class Session:
    """Protocol state of one socket."""

    def __init__(self, context: SessionContext, *, address: str | None = None) -> None:
        limits = context.limits
        self.id = secrets.token_hex(8)
        self.close: Close | None = None
        """Why the session must end, once it must."""
        self.outbox = Outbox(
            on_lag=self._lag,
            on_overflow=lambda: self.end(Close.SLOW_CONSUMER),
            state_bytes_max=limits.state_bytes_max,
            fact_bytes_max=limits.fact_bytes_max,
            frames_max=limits.frames_max,
        )
        self.abort: Callable[[], object] = lambda: None
        """Drops the socket without a goodbye; set by the endpoint."""
        self.writing_since_s: float | None = None
        """Since when one frame waits for its reader; set by the endpoint."""
        self._context = context
        self._hub = context.hub
        self._limits = limits
        self._address = address
        self._principal: Principal | None = None
        self._public = Subscriptions(self.outbox)
        self._private: PrivateStream | None = None
        self._rate = MessageRate(limits.messages_per_s, limits.messages_burst, context.clock_s)
        self._lane = OrderLane(in_flight_max=limits.commands_in_flight_max, answer=self._result, refuse=self._refuse)
        self._opened_s = context.clock_s()
        self._ended_s = 0.0
        self._is_settled = False
        self._guard = SessionGuard(context.order_entry, context.holds, self.id)
        self._requests = 0
        self._put(
            messages.Welcome(
                session_id=self.id,
                server_time=timestamp_text(context.now_ns()),
                ping_interval_ms=PING_INTERVAL_MS,
                limits=messages.Limits(
                    channels=limits.channels_max,
                    message_bytes=limits.message_bytes_max,
                    messages_per_s=limits.messages_per_s,
                ),
            )
        )
        self._hub.enter(self)

    # ---- what the endpoint does ----------------------------------------------------------------

    async def receive(self, text: str) -> None:
        """Take one client message; returns when the next one may be read."""
        if self.close is not None:
            return
        if len(text) > self._limits.message_bytes_max or len(text.encode()) > self._limits.message_bytes_max:
            self.end(Close.TOO_BIG)
            return
        self._requests += 1
        wait_ms = self._rate.take()
        if wait_ms:
            self._refuse(echo_id(text), ApiError("rate_limited", "Too many messages.", retry_after_ms=wait_ms))
            if self._rate.refusals > self._limits.refusals_max:
                self.end(Close.RATE_LIMITED)
            return
        try:
            message = decode_client(text)
        except ApiError as error:
            self._refuse(echo_id(text), error)
            return
        try:
            await self._handle(message)
        except Exception as fault:
            # Every fault has an answer; the session goes on.
            self._refuse(message.id, refusal_of(fault))

    def receive_binary(self) -> None:
        """Take a binary message: the protocol has none."""
        self.end(Close.PROTOCOL_ERROR)

    def pump(self) -> None:
        """Queue first frames that wait for room."""
        if self.close is None:
            self._public.pump()

    def end(self, close: Close) -> None:
        """End the session: the writer sends what waits (a slow reader's is dropped) and then the close frame."""
        if self.close is not None:
            return
        self.close = close
        self._ended_s = self._context.clock_s()
        self._leave_all()
        if close is Close.SLOW_CONSUMER:
            self.outbox.clear()
        self.outbox.wake()

    def detach(self) -> None:
        """Forget the session: the socket is gone."""
        self._guard.lose()
        self._leave_all()
        self.outbox.clear()
        self._hub.leave(self)

    # ---- what the replica does ----------------------------------------------------------------------

    def beat(self, beat: Beat) -> None:
        """Queue a heartbeat and end what took too long."""
        now_s = self._context.clock_s()
        if self.close is not None:
            if now_s - self._ended_s > self._limits.close_s:
                self.abort()
            return
        late = self._overdue(now_s)
        if late is not None:
            self.end(late)
            return
        account = f'"account_seq":{self._private.position},' if self._private and self._private.live else ""
        self.outbox.put_state(
            f'{{"type":"heartbeat","ts":"{beat.ts}","engine_seq":{beat.engine_seq},'
            f'"books":{{{self._public.books()}}},{account}"lag_ms":{beat.lag_ms}}}'
        )

    def put_status(self, text: str) -> None:
        """Queue a rendered status frame."""
        if self.close is None:
            self.outbox.put_fact(text)

    def shut_down(self) -> None:
        """Ask the client to come back later and close."""
        self._put(messages.Shutdown(reconnect_after_ms=secrets.randbelow(RECONNECT_MS_MAX)))
        self.end(Close.RESTART)

    def lose_key(self) -> None:
        """End: the key that the session authenticated with is revoked."""
        self._refuse(None, ApiError("unauthenticated", "The API key is revoked."))
        self.end(Close.AUTHENTICATION_FAILED)

    # ---- actions -----------------------------------------------------------------------------------

    async def _handle(self, message: AnyClientMessage) -> None:
        match message:
            case messages.Subscribe():
                self._subscribe(message)
            case messages.Unsubscribe():
                self._unsubscribe(message)
            case messages.ListChannels():
                self._put(messages.ChannelList(id=message.id, channels=self._public.names() + self._private_names()))
            case messages.Auth():
                await self._authenticate(message)
            case messages.Logout():
                self._log_out()
                self._put(messages.Result(id=message.id))
            case messages.Ping():
                self._put(messages.Pong(id=message.id, server_time=timestamp_text(self._context.now_ns())))
            case messages.SessionMessage():
                await self._guard.change(self._require("trade"), message)
                self._put(messages.Result(id=message.id))
            case _:
                principal = self._require("trade")
                call = order_call(self._context.order_entry, principal, message, self.id)
                await self._lane.begin(message.id, call)

    def _subscribe(self, message: messages.Subscribe) -> None:
        names = list(dict.fromkeys(message.channels))
        strangers = [name for name in message.options if name not in names]
        if strangers:
            raise ApiError("invalid_request", "Options name a channel that is not asked for.", field="options")
        joined: list[str] = []
        failed: list[messages.FailedChannel] = []
        private: list[PrivateChannel] = []
        symbols: dict[str, None] = {}
        for name in names:
            try:
                self._require_room(name)
                channel = parse_channel(name)
                if isinstance(channel, PrivateChannel):
                    self._require_private(message.resume_from)
                    private.append(channel)
                else:
                    options = options_of(channel, message.options.get(name))
                    self._public.join(self._hub.channel(channel, options))
                    if channel.symbol:
                        symbols[channel.symbol] = None
                joined.append(name)
            except ApiError as error:
                failed.append(messages.FailedChannel(channel=name, error=self._problem(error)))
        self._is_settled = self._is_settled or bool(joined)
        self._put(messages.Subscribed(id=message.id, channels=joined, failed=failed))
        for symbol in symbols:
            self._hub.activate(symbol)
        self._public.pump()
        if private:
            self._private_stream().join(private, message.resume_from)

    def _unsubscribe(self, message: messages.Unsubscribe) -> None:
        left: list[str] = []
        for name in dict.fromkeys(message.channels):
            if self._public.leave(name):
                left.append(name)
            elif name in self._private_names() and self._private is not None:
                self._private.leave([PrivateChannel(name)])
                left.append(name)
        self._put(messages.Unsubscribed(id=message.id, channels=left))

    async def _authenticate(self, message: messages.Auth) -> None:
        try:
            principal = await self._principal_of(message)
            if self._private is not None and principal.account_id != self._private.account_id:
                raise ApiError("invalid_request", "This session belongs to another account: log out first.")
        except ApiError as error:
            self._refuse(message.id, error)
            if CODES[error.code].status in (401, 403):
                self.end(Close.AUTHENTICATION_FAILED)
            return
        self._speak_for(principal)
        self._is_settled = True
        scopes = sorted(principal.scopes)
        self._put(messages.Authenticated(id=message.id, account_id=str(principal.account_id), scopes=scopes))

    async def _principal_of(self, message: messages.Auth) -> Principal:
        key, timestamp, signature = message.key, message.timestamp, message.signature
        if message.token is not None and key is None and timestamp is None and signature is None:
            return await self._context.authenticator.by_token(message.token)
        if message.token is None and key is not None and timestamp is not None and signature is not None:
            return await self._context.authenticator.by_signature(
                key=key,
                timestamp=str(timestamp),
                recv_window=None if message.recv_window is None else str(message.recv_window),
                signature=signature,
                method="GET",
                target=STREAM_TARGET,
                body=b"",
                address=self._address,
            )
        raise ApiError("invalid_request", "Expected token, or key, timestamp and signature.", field="token")

    def _result(self, message_id: str | None, answer: OrderAnswer) -> None:
        self._put(result_frame(message_id, answer))

    # ---- who may -----------------------------------------------------------------------------------

    def _require(self, scope: str) -> Principal:
        principal = self._principal
        if principal is None:
            raise ApiError("unauthenticated", "Send an auth action first.")
        if principal.expires_at_ms is not None and principal.expires_at_ms * 1_000_000 <= self._context.now_ns():
            raise ApiError("token_expired", "The credentials have ended: authenticate again.")
        if scope not in principal.scopes:
            raise ApiError("missing_scope", f"This needs scope {scope}.")
        return principal

    def _require_private(self, resume_from: int | None) -> None:
        self._require("read")
        if resume_from is not None and self._private_names():
            raise ApiError(
                "invalid_request", "A session resumes before it joins any private channel.", field="resume_from"
            )

    def _require_room(self, name: str) -> None:
        joined = self._public.names() + self._private_names()
        if name not in joined and len(joined) >= self._limits.channels_max:
            limit = str(self._limits.channels_max)
            raise ApiError("too_many_subscriptions", "The session has too many channels.", limit=limit)

    def _overdue(self, now_s: float) -> Close | None:
        """Return what ran out of time."""
        limits = self._limits
        if self.writing_since_s is not None and now_s - self.writing_since_s > limits.write_stuck_s:
            return Close.TIMEOUT
        if not self._is_settled and now_s - self._opened_s > limits.settle_s:
            return Close.IDLE
        expires_at_ms = self._principal.expires_at_ms if self._principal else None
        if expires_at_ms is not None:
            over_s = self._context.now_ns() / 1e9 - expires_at_ms / 1e3
            if over_s > limits.reauthenticate_s:
                return Close.TOKEN_EXPIRED
        return None

    # ---- frames --------------------------------------------------------------------------------------

    def _private_stream(self) -> PrivateStream:
        principal = self._require("read")
        if self._private is None:
            self._private = PrivateStream(
                principal.account_id,
                self._hub,
                self.outbox,
                is_shown=self._may_see,
                on_overflow=lambda: self.end(Close.SLOW_CONSUMER),
            )
        return self._private

    def _may_see(self, symbol: str | None) -> bool:
        symbols = self._principal.symbols if self._principal else None
        return symbol is None or symbols is None or symbol in symbols

    def _private_names(self) -> list[str]:
        return sorted(self._private.channels) if self._private is not None else []

    def _speak_for(self, principal: Principal | None) -> None:
        watch = self._context.key_watch
        if self._principal is not None:
            watch.release(self._principal.key_id, self)
        self._principal = principal
        if principal is not None:
            watch.hold(principal.key_id, self)

    def _log_out(self) -> None:
        self._speak_for(None)
        if self._private is not None:
            self._private.close()
            self._private = None

    def _leave_all(self) -> None:
        for name in self._public.names():
            self._public.leave(name)
        self._log_out()

    def _lag(self) -> None:
        self._public.lag()

    def _refuse(self, message_id: str | None, error: ApiError) -> None:
        self._put(messages.ErrorFrame(id=message_id, error=self._problem(error)))

    def _problem(self, error: ApiError) -> Problem:
        return problem_of(error, f"{self.id}-{self._requests}")

    def _put(self, frame: ServerFrame) -> None:
        if self.close is None:
            self.outbox.put_fact(encode_frame(frame))
