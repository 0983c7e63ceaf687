"""What replicas ask the leader: told once it is committed, a few at a time, and never at the cost of trading."""

from types import SimpleNamespace
from typing import cast

import pytest

from app.domain.commands import (
    CreateAccount,
)
from app.domain.standing import AccountStanding
from app.link.frames import (
    StandingAnswer,
    StandingRequest,
)
from app.link.server import Connection
from app.sequencer import questions
from tests.unit.sequencer.hand_driven import MARKET, Leader, order_of, settle, status


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


async def test_a_state_whose_hash_would_stop_the_leader_is_not_hashed_and_the_newest_known_hash_is_told(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[int] = []

    def count_hash() -> bytes:
        hashed.append(leader.engine.state.sequence)
        return b"\x01"

    monkeypatch.setattr(leader.engine, "state_hash", count_hash)
    monkeypatch.setattr(questions, "HASH_EVERY_S", -1.0)
    orders = int(questions.HASH_MAX_S / questions.ORDER_HASH_S)
    large = SimpleNamespace(sequence=7, orders=range(orders + 1), accounts=())
    with monkeypatch.context() as grown:
        grown.setattr(leader.engine, "state", large)
        first = questions.Questions()
        first.ask_status(1, cast(Connection, leader.replica))
        assert first.look(leader.engine, 0).hashed[:2] == (-1, b"")
        many_accounts = SimpleNamespace(sequence=7, orders=(), accounts=range(orders + 1))
        grown.setattr(leader.engine, "state", many_accounts)
        first.ask_status(2, cast(Connection, leader.replica))
        assert first.look(leader.engine, 0).hashed[:2] == (-1, b"")
    assert hashed == []
    leader.submit(CreateAccount("a"))
    await settle()
    await leader.commit()
    told = await status(leader)
    assert (told.state_hash, told.state_hash_seq, hashed) == ("01", 1, [1])
    monkeypatch.setattr(questions, "HASH_MAX_S", 0.0)
    leader.submit(CreateAccount("b"))
    await settle()
    await leader.commit()
    later = await status(leader)
    assert (later.engine_seq, later.state_hash, later.state_hash_seq, hashed) == (2, "01", 1, [1])


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
