"""Commands encoded before the clock starts, straight over the engine's link, so many at a time."""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Self, cast

import asyncpg

from app.domain.commands import Command
from app.domain.outcomes import Outcome
from app.link.frames import (
    HANDSHAKE_TIMEOUT_S,
    NONCE_BYTES,
    REPLY_BYTES_MAX,
    Answer,
    Beat,
    Challenge,
    FrameReader,
    Hello,
    Refusal,
    Reply,
    Submit,
    Welcome,
    decode_reply,
    encode_frame,
    replica_proof,
)
from app.load.run import LinkPlace
from app.protocol.records import encode
from app.storage.database import asyncpg_dsn

RUN_TIMEOUT_S = 600.0
DEADLINE_MS = 60_000
BEAT_EVERY = 1_000
"""Answers between two signs of life."""


class LinkEnd(asyncio.Protocol, ABC):
    """A replica's end of the link that does little but send bytes: what it sends when is its subclass' business."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._reader = FrameReader(REPLY_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._welcomed = asyncio.get_running_loop().create_future()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frames: Sequence[bytes] = ()
        self._answered = 0

    @classmethod
    async def connect(cls, place: LinkPlace) -> Self:
        """Open the link of the shard's leader."""
        connection = await asyncpg.connect(asyncpg_dsn(place.database_url))
        try:
            address = await connection.fetchval("SELECT address FROM shard_head WHERE shard = $1", place.shard)
        finally:
            await connection.close()
        host, _, port = address.rpartition(":")
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: cls(place.secret), host, int(port))
        await asyncio.wait_for(wire._welcomed, HANDSHAKE_TIMEOUT_S)
        return wire

    def close(self) -> None:
        """Close the link."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; the leader speaks first."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits."""
        for future in (self._welcomed, self._done):
            if not future.done():
                future.set_exception(ConnectionError("the leader closed the link"))

    def data_received(self, data: bytes) -> None:
        """Take what a leader says; a sign of life now and then keeps the link."""
        bodies = list(self._reader.feed(data))
        if not self._welcomed.done():
            self._greet(bodies)
            return
        answers = [body for body in bodies if not _is_beat(body)]
        before, self._answered = self._answered, self._answered + len(answers)
        self._take(answers)
        if before // BEAT_EVERY != self._answered // BEAT_EVERY or not answers:
            self._write(encode_frame(Beat()))
        if self._answered == len(self._frames) and not self._done.done():
            self._done.set_result(None)

    def _begin(self, frames: Sequence[bytes]) -> None:
        self._frames, self._answered = frames, 0
        self._done = asyncio.get_running_loop().create_future()

    @abstractmethod
    def _take(self, answers: list[bytes]) -> None:
        """Note the bodies of answers, already counted."""

    def _greet(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            message = decode_reply(body)
            if isinstance(message, Challenge):
                nonce = os.urandom(NONCE_BYTES)
                proof = replica_proof(self._secret, message, nonce)
                self._write(encode_frame(Hello(message.shard, "bench", "bench", nonce, proof)))
            elif isinstance(message, Welcome):
                self._welcomed.set_result(None)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


class LinkWire(LinkEnd):
    """Keeps so many commands under way, and the bodies of all answers."""

    async def run(self, frames: Sequence[bytes], *, in_flight: int) -> list[bytes]:
        """Send all frames, so many at a time; returns the bodies of their answers in order."""
        self._begin(frames)
        self._answers: list[bytes] = []
        self._sent = min(in_flight, len(frames))
        self._write(b"".join(frames[: self._sent]))
        await asyncio.wait_for(self._done, RUN_TIMEOUT_S)
        return self._answers

    def _take(self, answers: list[bytes]) -> None:
        self._answers += answers
        upto = min(self._sent + len(answers), len(self._frames))
        if upto > self._sent:
            self._write(b"".join(self._frames[self._sent : upto]))
            self._sent = upto


def frames_of(commands: Iterable[Command]) -> list[bytes]:
    """Return the frames that submit commands; request ids are their places."""
    return [encode_frame(Submit(number, DEADLINE_MS, 1, encode(command))) for number, command in enumerate(commands, 1)]


def outcomes_of(bodies: Iterable[bytes]) -> list[Outcome]:
    """Return the outcomes in answers. Raises AssertionError for a command that was not sequenced."""
    found = []
    for body in bodies:
        reply = decode_reply(body)
        if isinstance(reply, Refusal):
            raise AssertionError(f"expected an outcome, was {reply}")
        assert isinstance(reply, Answer)
        found.append(reply.outcome)
    return found


def refusals_in(bodies: Iterable[bytes]) -> int:
    """Return how many answers say no: by the engine, or by a leader that took no command just then."""
    replies = map(decode_reply, bodies)
    return sum(isinstance(reply, Refusal) or _is_rejected(reply) for reply in replies)


def _is_rejected(reply: Reply) -> bool:
    return isinstance(reply, Answer) and reply.outcome.rejection is not None


def _is_beat(body: bytes) -> bool:
    """Return whether a body is the leader's sign of life: the tag stands first."""
    return body[1:6] == b"\xa4beat"
