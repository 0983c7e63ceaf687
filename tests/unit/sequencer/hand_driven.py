"""A sequencer whose clock, journal, bus and replica are driven by hand."""

import asyncio
from typing import Any, cast

from app.domain.commands import (
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
)
from app.domain.enums import OrderType, Side
from app.domain.outcomes import Outcome
from app.engine.engine import Engine
from app.link.frames import (
    Answer,
    Refusal,
    Reply,
    StatusAnswer,
    Submit,
    decode_reply,
)
from app.link.server import Connection
from app.protocol.ports import BusEntry
from app.protocol.records import GENESIS_HASH, encode
from app.sequencer import modes
from app.sequencer.clock import LeaderClock
from app.sequencer.publisher import Publisher
from app.sequencer.sequencer import Sequencer
from app.storage.journal import Journal, JournalRow

MARKET: tuple[Command, ...] = (
    CreateAsset("USD", 2),
    CreateAsset("X", 0),
    CreateInstrument("X-USD", "X", "USD", "0.01", "1"),
    CreateAccount("a"),
    Deposit(1001, "USD", "1000000", "seed"),
)


class HandClock:
    """Tells the time that the test sets."""

    def __init__(self) -> None:
        self.time_ns = 1_000

    def now_ns(self) -> int:
        return self.time_ns


class HandJournal:
    """Commits a row when the test says so."""

    def __init__(self) -> None:
        self.rows: list[JournalRow] = []
        self.commits: list[asyncio.Future[None]] = []
        self.beats = 0

    async def append(self, row: JournalRow) -> None:
        self.rows.append(row)
        self.commits.append(asyncio.get_running_loop().create_future())
        await self.commits[-1]

    async def beat(self, term: int, head_seq: int, head_hash: bytes) -> None:
        self.beats += 1


class HandPublisher:
    """Keeps what was offered to the bus."""

    def __init__(self) -> None:
        self.entries: list[BusEntry] = []

    def offer(self, entry: BusEntry) -> None:
        self.entries.append(entry)


class HandConnection:
    """Keeps what a replica was told."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []

    def send(self, reply: Reply) -> None:
        self.replies.append(reply)

    def send_frame(self, frame: bytes) -> None:
        self.replies.append(decode_reply(frame[4:]))

    def flush(self) -> None:
        return


class NoMetrics:
    def batch_committed(self, commands: int, size: int, seconds: float) -> None:
        return


class Leader:
    """A sequencer with its hand-driven surroundings."""

    def __init__(self, leader_modes: modes.LeaderModes | None = None) -> None:
        self.journal, self.publisher, self.replica = HandJournal(), HandPublisher(), HandConnection()
        self.modes = leader_modes or modes.LeaderModes()
        self.clock = HandClock()
        self.engine = Engine()
        self.sequencer = Sequencer(
            engine=self.engine,
            journal=cast(Journal, self.journal),
            head_hash=GENESIS_HASH,
            clock=cast(LeaderClock, self.clock),
            publisher=cast(Publisher, self.publisher),
            shard=0,
            term=1,
            build="test",
            metrics=NoMetrics(),
            modes=self.modes,
        )
        self.requests = 0

    def submit(self, command: Command, *, deadline_ms: int = 5_000) -> int:
        self.requests += 1
        request = Submit(self.requests, deadline_ms, 1, encode(command))
        self.sequencer.submit(request, cast(Connection, self.replica))
        return self.requests

    def answers(self) -> dict[int, Outcome]:
        answers = [reply for reply in self.replica.replies if isinstance(reply, Answer)]
        return {answer.request_id: answer.outcome for answer in answers}

    def refusals(self) -> dict[int, str]:
        return {reply.request_id: reply.code for reply in self.replica.replies if isinstance(reply, Refusal)}

    async def commit(self) -> None:
        """Let the append that is in flight succeed."""
        self.journal.commits[-1].set_result(None)
        await settle()


async def settle() -> None:
    """Give the loop its turns."""
    for _ in range(10):
        await asyncio.sleep(0)


def order_of(client_order_id: str) -> PlaceOrder:
    return PlaceOrder(1001, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1, client_order_id=client_order_id)


async def status(leader: Leader) -> Any:
    leader.sequencer.status(7, cast(Connection, leader.replica))
    await settle()
    answers = [reply for reply in leader.replica.replies if isinstance(reply, StatusAnswer)]
    return answers[-1].status
