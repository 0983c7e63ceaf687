"""The leader's loop with a hand-driven journal: what is visible when, and what is refused."""

import asyncio
import time
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from app.domain.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    PlaceOrder,
    StartEpoch,
    Tick,
)
from app.domain.enums import OrderType, Side, TimeInForce
from app.errors import Fenced
from app.link.frames import (
    Submit,
)
from app.link.server import Connection
from app.protocol.records import decode_batch, decode_command
from app.sequencer import modes, sequencer
from app.sequencer.queue import CANCEL_RESERVE, QUEUE_COMMANDS_MAX
from app.sequencer.sequencer import BEAT_IDLE_S
from app.storage.journal import JournalRow
from tests.unit.sequencer.hand_driven import MARKET, Leader, order_of, settle, status


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
        await asyncio.wait_for(running, 1)
    assert (leader.answers(), leader.publisher.entries) == ({}, [])


async def test_a_fault_while_answers_leave_ends_the_leader_instead_of_letting_it_go_on_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leader = Leader()
    running = asyncio.create_task(leader.sequencer.run())
    leader.submit(CreateAccount("a"))
    await settle()
    leader.submit(CreateAccount("b"))

    def fail() -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(leader.replica, "flush", fail)
    await leader.commit()
    with pytest.raises(RuntimeError, match="planted"):
        await asyncio.wait_for(running, 1)
    assert len(leader.journal.rows) == 1


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


async def test_what_is_refused_as_late_leaves_the_state_as_the_last_row_did(leader: Leader) -> None:
    for command in MARKET:
        leader.submit(command)
    await settle()
    await leader.commit()
    state_hash = leader.engine.state_hash()
    leader.clock.time_ns += 1_000_000_000
    late = [leader.submit(order_of(f"order {number}"), deadline_ms=-1) for number in range(3)]
    await settle()
    assert leader.refusals() == dict.fromkeys(late, "deadline_exceeded")
    assert (len(leader.journal.rows), leader.engine.state_hash()) == (1, state_hash)


async def test_a_batch_that_was_opened_for_a_command_takes_it_however_long_that_took(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, late_by = leader.engine.begin, [0.0]

    def slowly(timestamp_ns: int) -> None:
        begin(timestamp_ns)
        late_by.append(60.0)

    monkeypatch.setattr(leader.engine, "begin", slowly)
    monkeypatch.setattr(sequencer, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + late_by[-1]))
    taken, late = (leader.submit(CreateAccount(name)) for name in ("a", "b"))
    await settle()
    await leader.commit()
    assert leader.answers()[taken].engine_seq == 1
    assert leader.refusals() == {late: "deadline_exceeded"}


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


async def test_an_idle_leader_beats(leader: Leader, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(5):
        while not leader.journal.beats:  # noqa: ASYNC110  # polls what the loop does
            await asyncio.sleep(0.05)


async def test_a_leader_that_is_only_asked_questions_beats_all_the_same(leader: Leader) -> None:
    # A standby takes a leader whose beat stands still for dead, whoever else it talks to.
    async with asyncio.timeout(5):
        while leader.journal.beats < 3:
            leader.sequencer.status(1, cast(Connection, leader.replica))
            await asyncio.sleep(0.02)
    assert len(leader.replica.replies) > 3


async def test_a_leader_that_commits_needs_no_beat(leader: Leader) -> None:
    deadline = asyncio.get_running_loop().time() + 2 * BEAT_IDLE_S
    while asyncio.get_running_loop().time() < deadline:
        leader.submit(CreateAccount(f"account {leader.requests}"))
        await settle()
        await leader.commit()
        await asyncio.sleep(BEAT_IDLE_S / 20)
    assert leader.journal.beats == 0


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


async def test_while_the_projection_is_late_orders_are_throttled_and_what_cancels_or_repeats_passes() -> None:
    leader = Leader(modes.LeaderModes(throttled_orders_per_s=5, clock_s=lambda: 0.0))
    running = asyncio.create_task(leader.sequencer.run())
    for command in (*MARKET, order_of("first")):
        leader.submit(command)
    await settle()
    await leader.commit()
    leader.modes.projection_lag_s = 61.0
    leader.modes.evaluate()
    orders = [leader.submit(order_of(f"order {number}")) for number in range(8)]
    repeated, canceled = leader.submit(order_of("first")), leader.submit(CancelOrder(1001, 1))
    assert leader.refusals() == dict.fromkeys(orders[5:], "engine_unavailable")
    await settle()
    await leader.commit()
    assert leader.answers()[repeated].duplicate
    assert leader.answers()[canceled].rejection is None
    running.cancel()


# ---- time --------------------------------------------------------------------------------------

MILLISECOND_NS = 1_000_000
ENDLESS_NS = 10**18


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


async def test_answers_leave_a_turn_before_the_next_batch_is_sealed_and_the_bus_gets_its_batch_after_that(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, seen = 0, []

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def noted(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def note(*given: object) -> object:
            seen.append((name, turn))
            return original(*given)

        monkeypatch.setattr(owner, name, note)

    leader.submit(StartEpoch(1))
    await settle()
    leader.submit(CreateAccount("a"))
    await settle()
    counting = asyncio.create_task(count_turns())
    noted(leader.replica, "flush")
    noted(leader.engine, "seal")
    noted(leader.journal, "append")
    noted(leader.publisher, "offer")
    await leader.commit()
    counting.cancel()
    assert [name for name, _ in seen] == ["flush", "seal", "append", "offer"]
    turns = dict(seen)
    assert turns["flush"] < turns["seal"]
    assert turns["append"] < turns["offer"]
