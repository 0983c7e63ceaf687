"""The leader's loop with a hand-driven journal: what is visible when, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from app.domain.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
    StartEpoch,
    Tick,
)
from app.domain.enums import OrderType, Side, TimeInForce
from app.domain.outcomes import Outcome
from app.domain.standing import AccountStanding
from app.engine.engine import Engine
from app.errors import Fenced
from app.link.frames import (
    Answer,
    Refusal,
    Reply,
    StandingAnswer,
    StandingRequest,
    StatusAnswer,
    Submit,
    decode_reply,
)
from app.link.server import Connection
from app.protocol.ports import BusEntry
from app.protocol.records import GENESIS_HASH, decode_batch, decode_command, encode
from app.sequencer import modes, questions
from app.sequencer.clock import LeaderClock
from app.sequencer.publisher import Publisher
from app.sequencer.queue import CANCEL_RESERVE, QUEUE_COMMANDS_MAX
from app.sequencer.sequencer import Sequencer
from app.storage.journal import Journal, JournalRow


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


class NoMetrics:
    def batch_committed(self, commands: int, size: int, seconds: float) -> None:
        return


class Leader:
    """A sequencer with its hand-driven surroundings."""

    def __init__(self) -> None:
        self.journal, self.publisher, self.replica = HandJournal(), HandPublisher(), HandConnection()
        self.modes = modes.LeaderModes()
        self.clock = HandClock()
        self.sequencer = Sequencer(
            engine=Engine(),
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


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    made = Leader()
    running = asyncio.create_task(made.sequencer.run())
    await settle()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nothing_is_visible_before_the_commit(leader: Leader) -> None:
    leader.submit(StartEpoch(3))
    leader.submit(CreateAsset("USD", 2))
    await settle()
    assert len(leader.journal.rows) == 1
    assert (leader.answers(), leader.publisher.entries, leader.sequencer.head_seq) == ({}, [], 0)
    assert leader.sequencer.epoch == 0
    await leader.commit()
    assert sorted(leader.answers()) == [1, 2]
    assert [entry.last_seq for entry in leader.publisher.entries] == [2]
    assert (leader.sequencer.head_seq, leader.sequencer.epoch) == (2, 3)


async def test_what_queues_during_a_commit_is_the_next_batch_and_one_append_flies_at_a_time(leader: Leader) -> None:
    leader.submit(StartEpoch(1))
    await settle()
    for name in ("a", "b", "c"):
        leader.submit(CreateAccount(name))
        await settle()
    assert len(leader.journal.rows) == 1
    await leader.commit()
    assert [(row.first_seq, row.last_seq) for row in leader.journal.rows] == [(1, 1), (2, 4)]
    assert leader.journal.rows[1].prev_hash == leader.journal.rows[0].hash
    assert sorted(leader.answers()) == [1]
    await leader.commit()
    assert sorted(leader.answers()) == [1, 2, 3, 4]


async def test_an_uncommitted_book_is_not_shown(leader: Leader) -> None:
    for command in (CreateAsset("USD", 2), CreateAsset("X", 0), CreateInstrument("X-USD", "X", "USD", "0.01", "1")):
        leader.submit(command)
    await settle()
    assert leader.sequencer.book("X-USD") is None
    await leader.commit()
    view = leader.sequencer.book("X-USD")
    assert view is not None
    assert (view.engine_seq, view.seq) == (3, 0)


async def test_the_bus_gets_the_row_without_its_commands(leader: Leader) -> None:
    leader.submit(CreateAccount("a"))
    await settle()
    await leader.commit()
    journaled, published = decode_batch(leader.journal.rows[0].body), decode_batch(leader.publisher.entries[0].body)
    assert len(journaled.commands) == 1
    assert published == msgspec.structs.replace(journaled, commands=[])


async def test_a_fenced_append_ends_the_leader_and_answers_nothing() -> None:
    leader = Leader()
    running = asyncio.create_task(leader.sequencer.run())
    leader.submit(CreateAccount("a"))
    await settle()
    leader.journal.commits[-1].set_exception(Fenced("another term"))
    with pytest.raises(Fenced):
        await running
    assert (leader.answers(), leader.publisher.entries) == ({}, [])


async def test_a_full_queue_refuses_orders_but_keeps_places_for_cancels(leader: Leader) -> None:
    for _ in range(QUEUE_COMMANDS_MAX - CANCEL_RESERVE):
        leader.submit(CreateAccount("a"))
    assert leader.refusals() == {}
    refused = leader.submit(CreateAccount("late"))
    assert leader.refusals() == {refused: "engine_unavailable"}
    for _ in range(CANCEL_RESERVE):
        leader.submit(CancelOrder(1001, 1))
    assert list(leader.refusals()) == [refused]
    assert leader.submit(CancelOrder(1001, 1)) in leader.refusals()


async def test_a_command_past_its_deadline_is_not_sequenced(leader: Leader) -> None:
    late = leader.submit(CreateAccount("late"), deadline_ms=0)
    in_time = leader.submit(CreateAccount("in time"))
    await settle()
    await leader.commit()
    assert leader.refusals() == {late: "deadline_exceeded"}
    assert leader.answers()[in_time].engine_seq == 1


async def test_a_commit_that_hangs_stops_new_commands(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    leader.submit(CreateAccount("a"))
    await settle()
    monkeypatch.setattr(modes, "COMMIT_AGE_MAX_S", -1.0)
    refused = leader.submit(CreateAccount("b"))
    assert leader.refusals() == {refused: "engine_unavailable"}
    await leader.commit()
    leader.submit(CreateAccount("c"))
    assert list(leader.refusals()) == [refused]


async def test_an_unreadable_command_is_refused_and_takes_no_sequence(leader: Leader) -> None:
    leader.sequencer.submit(Submit(99, 5_000, 1, b"\xc1"), cast(Connection, leader.replica))
    in_order = leader.submit(CreateAccount("a"))
    await settle()
    await leader.commit()
    assert leader.refusals() == {99: "invalid_request"}
    assert leader.answers()[in_order].engine_seq == 1


async def status(leader: Leader) -> Any:
    leader.sequencer.status(7, cast(Connection, leader.replica))
    await settle()
    answers = [reply for reply in leader.replica.replies if isinstance(reply, StatusAnswer)]
    return answers[-1].status


async def test_status_is_of_a_committed_sequence_and_an_expensive_hash_is_not_made_twice_a_minute(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader.submit(CreateAccount("a"))
    await settle()
    await leader.commit()
    first = await status(leader)
    assert (first.engine_seq, first.state_hash_seq) == (1, 1)
    monkeypatch.setattr(questions, "HASH_FREE_S", -1.0)
    leader.submit(CreateAccount("b"))
    await settle()
    await leader.commit()
    second = await status(leader)
    assert (second.engine_seq, second.state_hash_seq, second.state_hash) == (2, 1, first.state_hash)
    monkeypatch.setattr(questions, "HASH_EVERY_S", -1.0)
    third = await status(leader)
    assert third.state_hash_seq == 2
    assert third.state_hash != first.state_hash


def ask(leader: Leader, request_id: int, account_id: int) -> None:
    leader.sequencer.standing(StandingRequest(request_id, account_id), cast(Connection, leader.replica))


def standings(leader: Leader) -> dict[int, AccountStanding | None]:
    """Return what the replica was told about accounts, by request."""
    replies = [reply for reply in leader.replica.replies if isinstance(reply, StandingAnswer)]
    return {reply.request_id: reply.standing for reply in replies}


def open_orders(told: AccountStanding | None) -> tuple[int, str | None]:
    assert told is not None
    return told.engine_seq, next(each.used for each in told.limits if each.name == "open_orders")


async def test_a_standing_shows_nothing_before_it_is_committed_and_everything_that_was_answered(leader: Leader) -> None:
    for command in (*MARKET, order_of("first")):
        leader.submit(command)
    ask(leader, 71, 1001)
    await settle()
    assert standings(leader) == {}
    leader.submit(order_of("second"))
    ask(leader, 72, 1001)
    await leader.commit()
    assert sorted(standings(leader)) == [71]
    assert open_orders(standings(leader)[71]) == (6, "1")
    await leader.commit()
    assert open_orders(standings(leader)[72]) == (7, "2")


async def test_an_idle_leader_tells_standings_without_a_row_and_none_of_an_unknown_account(leader: Leader) -> None:
    for command in MARKET:
        leader.submit(command)
    await settle()
    await leader.commit()
    ask(leader, 71, 1001)
    ask(leader, 72, 4711)
    await settle()
    assert open_orders(standings(leader)[71]) == (5, "0")
    assert standings(leader)[72] is None
    assert len(leader.journal.rows) == 1


async def test_many_questions_are_told_a_few_at_a_time_and_too_many_are_refused(leader: Leader) -> None:
    for command in MARKET:
        leader.submit(command)
    await settle()
    for number in range(questions.STANDINGS_WAITING_MAX + 1):
        ask(leader, number, 1001)
    assert leader.refusals() == {questions.STANDINGS_WAITING_MAX: "service_unavailable"}
    leader.submit(CreateAccount("b"))
    await leader.commit()
    assert standings(leader) == {}, "asked after the batch was sealed"
    await leader.commit()
    assert len(standings(leader)) >= questions.STANDINGS_AT_ONCE
    for _ in range(questions.STANDINGS_WAITING_MAX // questions.STANDINGS_AT_ONCE):
        await settle()
    assert list(standings(leader)) == list(range(questions.STANDINGS_WAITING_MAX))


async def test_a_question_that_fails_is_refused_and_stops_nobody(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(questions, "standing", broken)
    for command in MARKET:
        leader.submit(command)
    ask(leader, 71, 1001)
    await settle()
    await leader.commit()
    assert leader.refusals() == {71: "internal_error"}
    leader.submit(CreateAccount("b"))
    await settle()
    await leader.commit()
    assert sorted(leader.answers()) == [1, 2, 3, 4, 5, 6]


async def test_an_idle_leader_beats(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(5):
        while not leader.journal.beats:  # noqa: ASYNC110  # polls what the loop does
            await asyncio.sleep(0.05)


async def test_a_stopping_leader_commits_what_it_took_and_refuses_the_rest() -> None:
    leader = Leader()
    running = asyncio.create_task(leader.sequencer.run())
    leader.submit(CreateAccount("a"))
    leader.sequencer.stop()
    refused = leader.submit(CreateAccount("b"))
    await settle()
    await leader.commit()
    await running
    assert sorted(leader.answers()) == [1]
    assert leader.refusals() == {refused: "engine_unavailable"}


async def test_a_nearly_full_disk_refuses_what_adds_and_takes_what_cancels(leader: Leader) -> None:
    for command in (*MARKET, order_of("first")):
        leader.submit(command)
    await settle()
    await leader.commit()
    leader.modes.disk_free = 0.05
    leader.modes.evaluate()
    refused = [leader.submit(order_of("second")), leader.submit(AmendOrder(1001, 1, None, 2))]
    assert leader.refusals() == dict.fromkeys(refused, "cancel_only")
    repeated, canceled = leader.submit(order_of("first")), leader.submit(CancelOrder(1001, 1))
    await settle()
    await leader.commit()
    assert leader.answers()[repeated].duplicate
    assert leader.answers()[canceled].rejection is None
    leader.modes.disk_free = 0.5
    leader.modes.evaluate()
    taken = leader.submit(order_of("second"))
    await settle()
    await leader.commit()
    assert leader.answers()[taken].rejection is None


# ---- time --------------------------------------------------------------------------------------

MILLISECOND_NS = 1_000_000
ENDLESS_NS = 10**18
MARKET: tuple[Command, ...] = (
    CreateAsset("USD", 2),
    CreateAsset("X", 0),
    CreateInstrument("X-USD", "X", "USD", "0.01", "1"),
    CreateAccount("a"),
    Deposit(1001, "USD", "1000000", "seed"),
)


def order_of(client_order_id: str) -> PlaceOrder:
    return PlaceOrder(1001, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1, client_order_id=client_order_id)


def bid_until(expire_ns: int) -> PlaceOrder:
    return PlaceOrder(
        1001, "X-USD", Side.BUY, OrderType.LIMIT, 1, 1, time_in_force=TimeInForce.GTD, expire_ns=expire_ns
    )


def commands_of(row: JournalRow) -> list[Command]:
    return [decode_command(data) for data in decode_batch(row.body).commands]


async def row_number(leader: Leader, number: int) -> JournalRow:
    """Wait for a row to be appended, at most a second."""
    for _ in range(200):
        if len(leader.journal.rows) >= number:
            break
        await asyncio.sleep(0.005)
    return leader.journal.rows[number - 1]


async def test_an_idle_leader_wakes_up_for_the_engines_deadline(leader: Leader) -> None:
    due_ns = leader.clock.time_ns + 30 * MILLISECOND_NS
    for command in (*MARKET, bid_until(due_ns)):
        leader.submit(command)
    await settle()
    await leader.commit()
    assert len(leader.journal.rows) == 1
    leader.clock.time_ns = due_ns
    row = await row_number(leader, 2)
    assert commands_of(row) == [Tick()]
    assert row.timestamp_ns == due_ns
    await leader.commit()
    assert await status(leader)
    assert len(leader.journal.rows) == 2


async def test_a_tick_that_is_due_stands_at_the_head_of_the_batch_before_client_commands(leader: Leader) -> None:
    due_ns = leader.clock.time_ns + MILLISECOND_NS
    for command in (*MARKET, bid_until(due_ns), bid_until(ENDLESS_NS)):
        leader.submit(command)
    await settle()
    leader.clock.time_ns = due_ns
    leader.submit(CancelOrder(1001, 2))
    await leader.commit()
    assert commands_of(leader.journal.rows[1]) == [Tick(), CancelOrder(1001, 2)]


async def test_without_a_deadline_no_tick_is_made(leader: Leader) -> None:
    for command in (*MARKET, bid_until(ENDLESS_NS)):
        leader.submit(command)
    await settle()
    await leader.commit()
    leader.clock.time_ns = ENDLESS_NS - 1
    leader.submit(CreateAccount("b"))
    await settle()
    assert commands_of(leader.journal.rows[1]) == [CreateAccount("b")]


async def test_a_leader_that_stops_begins_nothing_that_time_would_do(leader: Leader) -> None:
    due_ns = leader.clock.time_ns + ENDLESS_NS
    for command in (*MARKET, bid_until(due_ns)):
        leader.submit(command)
    await settle()
    leader.sequencer.stop()
    leader.clock.time_ns = due_ns
    await leader.commit()
    assert [commands_of(row) for row in leader.journal.rows[1:]] == []
