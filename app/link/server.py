"""The leader's end of the link: lets replicas in and hands their requests to the sequencer.

One protocol object per replica; everything runs on the event loop without tasks per request.
"""

import asyncio
import hmac
import os
import socket
from collections.abc import Iterable
from typing import Protocol, cast

import structlog

from app.domain.identity import SessionKey
from app.errors import LinkError
from app.link.frames import (
    BEAT_INTERVAL_S,
    HANDSHAKE_TIMEOUT_S,
    NONCE_BYTES,
    REQUEST_BYTES_MAX,
    SILENCE_MAX_S,
    Beat,
    BookAnswer,
    BookRequest,
    Challenge,
    FrameReader,
    HeldSession,
    Hello,
    Hold,
    Refusal,
    Release,
    Reply,
    StandingRequest,
    StatusRequest,
    Submit,
    Welcome,
    decode_request,
    encode_frame,
    leader_proof,
    replica_proof,
)
from app.protocol.modes import Finding
from app.protocol.ports import BookView

WRITE_BUFFER_BYTES_MAX = 64 << 20
"""A replica that leaves so much unread is cut off; its clients learn `execution_unknown` or a resend answers them."""

log = structlog.get_logger(__name__)


class Leader(Protocol):
    """What stands behind the link."""

    shard: int
    term: int

    @property
    def epoch(self) -> int:
        """Return the committed epoch."""

    @property
    def head_seq(self) -> int:
        """Return the last committed sequence."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is wrong around the leader."""

    def submit(self, request: Submit, connection: "Connection") -> None:
        """Queue a command; the answer goes to the connection after its commit."""

    def book(self, symbol: str) -> BookView | None:
        """Return a committed book."""

    def status(self, request_id: int, connection: "Connection") -> None:
        """Answer with the status once it is consistent."""

    def standing(self, request: StandingRequest, connection: "Connection") -> None:
        """Answer how an account stands once that is committed, or refuse."""


class SessionLeases(Protocol):
    """Who judges whether a guarded session still has a replica; a connection is its replica's lease."""

    def hold(self, link: "Connection", sessions: Iterable[HeldSession], *, is_again: bool) -> None:
        """Note sessions that a replica has sockets of. Raises LinkError if they are too many."""

    def release(self, link: "Connection", keys: Iterable[SessionKey]) -> None:
        """Note sessions that a replica has no socket of any more."""

    def lose(self, link: "Connection", silent_s: float) -> None:
        """Note the end of a connection on which nothing was heard for so long."""


class Connection(asyncio.Protocol):
    """One replica."""

    def __init__(self, leader: Leader, leases: SessionLeases, secret: bytes, connections: set["Connection"]) -> None:
        self._leader = leader
        self._leases = leases
        self._secret = secret
        self._connections = connections
        self._reader = FrameReader(REQUEST_BYTES_MAX)
        self._challenge = Challenge(leader.shard, os.urandom(NONCE_BYTES))
        # Kept: asking for the running loop is a system call before Python 3.12.
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._welcomed = False
        self._out: list[bytes] = []
        self.replica = "?"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Challenge the peer, and drop it if it does not prove itself in time."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(HANDSHAKE_TIMEOUT_S, self._handshake_late)
        self._transport.write(encode_frame(self._challenge))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the replica; commands it sent run on, their answers go nowhere."""
        self._connections.discard(self)
        self._transport = None
        self._leases.lose(self, self._loop.time() - self._heard)
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """Cut off a replica that does not read."""
        log.warning("link_slow_replica", replica=self.replica)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Handle every complete message; anything unreadable ends the connection."""
        self._heard = self._loop.time()
        try:
            for body in self._reader.feed(data):
                self._handle(body)
        except LinkError as error:
            log.warning("link_refused", replica=self.replica, reason=str(error))
            if self._transport is not None:
                self._transport.abort()

    def send(self, reply: Reply) -> None:
        """Send a message with the loop's next write."""
        self.send_frame(encode_frame(reply))

    def send_frame(self, frame: bytes) -> None:
        """Send an encoded frame; frames of one loop turn leave in one write."""
        if self._transport is None:
            return
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(frame)

    def tell(self) -> None:
        """Tell the replica, if it was let in, where the leader stands and what is wrong."""
        if self._welcomed:
            self.send(Beat(self._leader.head_seq, self._leader.findings))

    def close(self) -> None:
        """Close after what was written."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Write what was sent with this turn of the loop."""
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _handle(self, body: bytes) -> None:
        message = decode_request(body)
        if not self._welcomed:
            self._greet(message)
        elif isinstance(message, Submit):
            self._leader.submit(message, self)
        elif isinstance(message, Hold):
            self._leases.hold(self, message.sessions, is_again=message.is_again)
        elif isinstance(message, Release):
            self._leases.release(self, message.sessions)
        elif isinstance(message, BookRequest):
            self.send(BookAnswer(message.request_id, self._leader.book(message.symbol)))
        elif isinstance(message, StatusRequest):
            self._leader.status(message.request_id, self)
        elif isinstance(message, StandingRequest):
            self._leader.standing(message, self)
        elif isinstance(message, Hello):
            raise LinkError("a second hello", sent=False)

    def _greet(self, message: object) -> None:
        if not isinstance(message, Hello):
            raise LinkError("expected a hello first", sent=False)
        if message.shard != self._leader.shard:
            raise LinkError(f"expected shard {self._leader.shard}, was {message.shard}", sent=False)
        if not hmac.compare_digest(message.proof, replica_proof(self._secret, self._challenge, message.nonce)):
            raise LinkError("wrong proof: LINK_SECRET differs", sent=False)
        self.replica = message.replica
        self._welcomed = True
        leader = self._leader
        proof = leader_proof(self._secret, self._challenge, message.nonce)
        self.send(Welcome(leader.term, leader.epoch, leader.head_seq, proof, tells_standings=True))
        if self._timer is not None:
            self._timer.cancel()
        self._beat()

    def _handshake_late(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _beat(self) -> None:
        if self._transport is None:
            return
        if self._loop.time() - self._heard > SILENCE_MAX_S:
            log.warning("link_silent_replica", replica=self.replica)
            self._transport.abort()
            return
        self.tell()
        self._timer = self._loop.call_later(BEAT_INTERVAL_S, self._beat)


class LinkServer:
    """Listens for replicas."""

    def __init__(self, leader: Leader, leases: SessionLeases, secret: bytes) -> None:
        self._leader = leader
        self._leases = leases
        self._secret = secret
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Serve on a bound socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._leader, self._leases, self._secret, self._connections), sock=sock
        )

    def tell_all(self) -> None:
        """Tell every replica at once, without waiting for the next beat."""
        for connection in self._connections:
            connection.tell()

    async def stop(self) -> None:
        """Stop listening and close every connection after its pending writes."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()


def refusal(request: Submit | StandingRequest, code: str, detail: str, retry_after_ms: int | None = None) -> Refusal:
    """Return the answer to a command that was not sequenced, or a question that was not looked into."""
    return Refusal(request.request_id, code, detail, retry_after_ms)
