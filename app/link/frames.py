"""What travels on the link: length-prefixed msgpack messages, and the handshake's proofs.

Sans-I/O: `FrameReader` is fed bytes and yields message bodies. A frame is a 4-byte big-endian
length and an encoded message. The replica proves the shared secret first, then the leader does.
"""

import hmac
import struct
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from app.domain.enums import DisconnectScope
from app.domain.identity import SessionKey
from app.domain.outcomes import Outcome
from app.domain.standing import AccountStanding
from app.errors import LinkError
from app.protocol.modes import Finding
from app.protocol.ports import BookView

REQUEST_BYTES_MAX = 256 << 10
"""Largest frame a leader accepts from a replica."""
REPLY_BYTES_MAX = 64 << 20
"""Largest frame a replica accepts: a whole book of a million levels."""
NONCE_BYTES = 32
HANDSHAKE_TIMEOUT_S = 2.0
BEAT_INTERVAL_S = 0.5
SILENCE_MAX_S = 1.75
"""A peer that said nothing for so long is taken for dead."""
DEADLINE_DEFAULT_MS = 5_000
BUSY_RETRY_MS = 100
"""When a client that was refused for a full queue may come back."""
HELD_MAX = 100_000
"""Guarded sessions that a replica may have."""
HELD_CHUNK = 1_000
"""Of these, how many travel in one frame."""

_LENGTH = struct.Struct(">I")


class _Message(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="message"):
    """Shape shared by all messages."""


class Challenge(_Message, frozen=True, tag="challenge"):
    """Leader's first message."""

    shard: int
    nonce: bytes


class Hello(_Message, frozen=True, tag="hello"):
    """Replica's answer, with its proof."""

    shard: int
    replica: str
    build: str
    nonce: bytes
    proof: bytes


class Welcome(_Message, frozen=True, tag="welcome"):
    """Leader's proof, and what it leads."""

    term: int
    epoch: int
    head_seq: int
    proof: bytes
    tells_standings: bool = False
    """Whether it knows a StandingRequest: a leader of a version before it cuts off who sends one."""


class Submit(_Message, frozen=True, tag="submit"):
    """One encoded command. `deadline_ms` is the time left, `attempt` 2 a resend after a lost link."""

    request_id: int
    deadline_ms: int
    attempt: int
    command: bytes


class HeldSession(_Message, frozen=True, tag="held"):
    """A guarded session, and what it asked for."""

    account_id: int
    session_id: str
    scope: DisconnectScope
    grace_ms: int


class Hold(_Message, frozen=True, tag="hold"):
    """The replica has sockets of these sessions; `is_again` if an earlier link may have told it before."""

    sessions: tuple[HeldSession, ...]
    is_again: bool


class Release(_Message, frozen=True, tag="release"):
    """The replica has no socket of these sessions any more."""

    sessions: tuple[SessionKey, ...]


class BookRequest(_Message, frozen=True, tag="book"):
    """Ask for a committed book."""

    request_id: int
    symbol: str


class StatusRequest(_Message, frozen=True, tag="status"):
    """Ask for the engine's status and state hash."""

    request_id: int


class StandingRequest(_Message, frozen=True, tag="standing"):
    """Ask how an account stands with its limits and fee tiers."""

    request_id: int
    account_id: int


class Beat(_Message, frozen=True, tag="beat"):
    """Sign of life from either side; the leader's carries its committed head and what is wrong around it."""

    head_seq: int = 0
    findings: tuple[Finding, ...] = ()


class Answer(_Message, frozen=True, tag="answer"):
    """Outcome of a committed command."""

    request_id: int
    outcome: Outcome


class Refusal(_Message, frozen=True, tag="refusal"):
    """The command was not sequenced."""

    request_id: int
    code: str
    detail: str
    retry_after_ms: int | None = None


class BookAnswer(_Message, frozen=True, tag="book_answer"):
    """A committed book, or None for an unknown symbol."""

    request_id: int
    book: BookView | None


class EngineStatus(msgspec.Struct, frozen=True, array_like=True):
    """Where the leader stands, at a sequence it has committed."""

    shard: int
    term: int
    epoch: int
    engine_seq: int
    state_hash: str
    state_hash_seq: int
    """Sequence of the state hash: the same, unless hashing a large state would stop trading.

    -1, and the hash empty, while the state was too large ever since this leader began.
    """
    engine_version: int
    build: str
    mode: str
    queue: int


class StatusAnswer(_Message, frozen=True, tag="status_answer"):
    """Answer to a StatusRequest."""

    request_id: int
    status: EngineStatus


class StandingAnswer(_Message, frozen=True, tag="standing_answer"):
    """How an account stands, or None for an unknown one."""

    request_id: int
    standing: AccountStanding | None


Request = Hello | Submit | Hold | Release | BookRequest | StatusRequest | StandingRequest | Beat
Reply = Challenge | Welcome | Answer | Refusal | BookAnswer | StatusAnswer | StandingAnswer | Beat

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


def encode_frame(message: Request | Reply) -> bytes:
    """Return a message with its length in front."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    """Decode what a replica sent. Raises LinkError if it is nothing we know."""
    try:
        request: Request = _requests.decode(body)
    except msgspec.DecodeError as error:
        raise LinkError(f"unreadable message from a replica: {error}", sent=False) from error
    return request


def decode_reply(body: bytes) -> Reply:
    """Decode what a leader sent. Raises LinkError if it is nothing we know."""
    try:
        reply: Reply = _replies.decode(body)
    except msgspec.DecodeError as error:
        raise LinkError(f"unreadable message from the leader: {error}", sent=False) from error
    return reply


class FrameReader:
    """Cuts a byte stream into message bodies."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._begun = bytearray()
        """What came of a message that is not complete; mostly nothing, then messages are cut out of what came."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes and yield every body that is complete. Raises LinkError for a frame above the limit."""
        if self._begun:
            self._begun += data
            if self._end_of_frame(self._begun, 0) is None:
                return
            data = bytes(self._begun)
            self._begun.clear()
        start = 0
        while (end := self._end_of_frame(data, start)) is not None:
            yield data[start + _LENGTH.size : end]
            start = end
        self._begun += data[start:]

    def _end_of_frame(self, data: bytes | bytearray, start: int) -> int | None:
        """Return where the frame at `start` ends, or None while it is not complete. Raises LinkError."""
        body = start + _LENGTH.size
        if body > len(data):
            return None
        (length,) = _LENGTH.unpack_from(data, start)
        if length > self._bytes_max:
            raise LinkError(f"expected a frame of at most {self._bytes_max} bytes, was {length}", sent=False)
        end: int = body + length
        return end if end <= len(data) else None


def replica_proof(secret: bytes, challenge: Challenge, nonce: bytes) -> bytes:
    """Return what a replica must show to be let in."""
    return _proof(secret, b"replica", challenge.shard, challenge.nonce, nonce)


def leader_proof(secret: bytes, challenge: Challenge, nonce: bytes) -> bytes:
    """Return what a leader must show to be believed."""
    return _proof(secret, b"leader", challenge.shard, nonce, challenge.nonce)


def _proof(secret: bytes, role: bytes, shard: int, first: bytes, second: bytes) -> bytes:
    return hmac.digest(secret, b"orderwire-link/1|%s|%d|" % (role, shard) + first + second, sha256)
