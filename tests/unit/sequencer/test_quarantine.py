"""The quarantine before the leader's queue, with a store in hand: what runs alone, what together, in which order."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, cast

import pytest

from app.domain.commands import Command, CreateAccount, Deposit, PlaceOrder
from app.domain.enums import OrderType, Side
from app.engine.engine import Engine
from app.link.frames import Answer, Refusal, Submit
from app.link.server import Connection
from app.protocol.records import GENESIS_HASH, decode_batch, decode_command, encode
from app.sequencer.clock import LeaderClock
from app.sequencer.publisher import Publisher
from app.sequencer.quarantine import CRASHES_MAX, EngineCrashed, GuardedSequencer, fingerprint_of
from app.storage.journal import Journal
from app.storage.quarantine import QuarantineStore, Suspect
from tests.unit.sequencer.hand_driven import HandClock, HandConnection, HandJournal, HandPublisher, NoMetrics


class HandStore:
    """Keeps suspects as the table does."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.writes: list[list[int]] = []

    async def write(self, suspects: Sequence[Suspect]) -> None:
        await asyncio.sleep(0)
        self.rows |= {suspect.fingerprint: suspect.crashes for suspect in suspects}
        self.writes.append([suspect.crashes for suspect in suspects])

    async def clear(self, fingerprints: Iterable[bytes]) -> None:
        for fingerprint in fingerprints:
            self.rows.pop(fingerprint, None)


class CommittingJournal(HandJournal):
    """Commits at once."""

    async def append(self, row: Any) -> None:
        self.rows.append(row)


class Leader:
    """A guarded sequencer whose journal commits at once."""

    def __init__(self, crashes: dict[bytes, int] | None = None, engine: Engine | None = None) -> None:
        self.store, self.journal, self.replica = HandStore(), CommittingJournal(), HandConnection()
        self.sequencer = GuardedSequencer(
            store=cast(QuarantineStore, self.store),
            crashes=crashes or {},
            engine=engine or Engine(),
            journal=cast(Journal, self.journal),
            head_hash=GENESIS_HASH,
            clock=cast(LeaderClock, HandClock()),
            publisher=cast(Publisher, HandPublisher()),
            shard=0,
            term=1,
            build="test",
            metrics=NoMetrics(),
        )
        self.running = asyncio.create_task(self.sequencer.run())
        self._requests = 0

    def submit(self, command: Command, *, attempt: int = 1, deadline_ms: int = 5_000) -> None:
        self._requests += 1
        request = Submit(self._requests, deadline_ms, attempt, encode(command))
        self.sequencer.submit(request, cast(Connection, self.replica))

    async def answered(self, count: int) -> list[int]:
        """Wait for so many answers; returns the requests in the order of their answers."""
        async with asyncio.timeout(5):
            while len(self.replica.replies) < count:  # noqa: ASYNC110  # polls a list
                await asyncio.sleep(0.001)
        return [reply.request_id for reply in self.replica.replies if isinstance(reply, Answer | Refusal)]

    def batches(self) -> list[list[str]]:
        """Return the names of the accounts that each batch opened."""
        records = [decode_batch(row.body) for row in self.journal.rows]
        return [[decode_command(data).name for data in record.commands] for record in records]  # type: ignore[union-attr]  # all open accounts

    async def stop(self) -> None:
        self.sequencer.stop()
        await self.running


def account(name: str) -> CreateAccount:
    return CreateAccount(name)


def fingerprint(name: str) -> bytes:
    return fingerprint_of(account(name), encode(account(name)))


async def test_without_suspects_nothing_is_written() -> None:
    leader = Leader()
    for name in ("a", "b"):
        leader.submit(account(name))
    assert await leader.answered(2) == [1, 2]
    assert leader.store.writes == []
    await leader.stop()


async def test_resent_commands_run_together_before_what_came_after_them() -> None:
    leader = Leader()
    for name, attempt in (("a", 2), ("b", 2), ("c", 1)):
        leader.submit(account(name), attempt=attempt)
    assert await leader.answered(3) == [1, 2, 3]
    assert leader.store.writes == [[0, 0]]
    await asyncio.sleep(0.01)
    assert leader.store.rows == {}
    leader.submit(account("d"))
    assert await leader.answered(4) == [1, 2, 3, 4]
    await leader.stop()


async def test_a_suspect_is_counted_first_and_runs_in_a_batch_of_its_own() -> None:
    leader = Leader({fingerprint("b"): 0})
    for name in ("a", "b", "c"):
        leader.submit(account(name))
    assert await leader.answered(3) == [1, 2, 3]
    assert leader.store.writes == [[1]]
    assert ["b"] in leader.batches()
    await asyncio.sleep(0.01)
    assert leader.store.rows == {}
    await leader.stop()


async def test_what_cost_too_many_engines_is_refused_with_its_code_and_nothing_waits_for_it() -> None:
    leader = Leader({fingerprint("b"): CRASHES_MAX})
    for name in ("a", "b", "c"):
        leader.submit(account(name))
    await leader.answered(3)
    refusals = [reply for reply in leader.replica.replies if isinstance(reply, Refusal)]
    assert [(reply.request_id, reply.code) for reply in refusals] == [(2, "quarantined")]
    assert [name for names in leader.batches() for name in names] == ["a", "c"]
    await leader.stop()


async def test_what_the_leader_would_do_of_itself_is_refused_too_once_it_cost_too_many_engines() -> None:
    leader = Leader({fingerprint("poison"): CRASHES_MAX, fingerprint("suspect"): CRASHES_MAX - 1})
    for name in ("poison", "suspect", "innocent"):
        leader.sequencer.execute(account(name))
    await leader.stop()
    assert leader.batches() == [["suspect", "innocent"]]


async def test_a_suspect_whose_deadline_passed_is_refused_and_forgotten() -> None:
    leader = Leader({fingerprint("b"): 0})
    leader.submit(account("b"), deadline_ms=0)
    await leader.answered(1)
    reply = leader.replica.replies[0]
    assert isinstance(reply, Refusal)
    assert reply.code == "deadline_exceeded"
    await asyncio.sleep(0.01)
    assert leader.store.rows == {}
    await leader.stop()


async def test_an_exception_names_its_command_and_ends_the_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, apply = Engine(), Engine.apply

    def raising(self: Engine, command: Command) -> Any:
        assert command != account("b"), "a planted fault"
        return apply(self, command)

    monkeypatch.setattr(Engine, "apply", raising)
    leader = Leader(engine=engine)
    for name in ("a", "b", "c"):
        leader.submit(account(name))
    with pytest.raises(EngineCrashed, match="a planted fault"):
        await leader.running
    assert leader.store.rows == {fingerprint("b"): 1}


async def test_a_fault_in_closing_a_batch_makes_all_of_it_suspects(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(_: Engine) -> Any:
        raise ValueError("a planted fault")

    monkeypatch.setattr(Engine, "seal", raising)
    leader = Leader()
    for name in ("a", "b"):
        leader.submit(account(name))
    with pytest.raises(EngineCrashed):
        await leader.running
    assert leader.store.rows == {fingerprint("a"): 0, fingerprint("b"): 0}


def test_a_fingerprint_is_the_natural_key_where_there_is_one() -> None:
    terms = PlaceOrder(1001, "B-Q", Side.BUY, OrderType.LIMIT, 1, 100, client_order_id="c-1", session_id="s-1")
    again = PlaceOrder(1001, "B-Q", Side.BUY, OrderType.LIMIT, 1, 100, client_order_id="c-1", session_id="s-2")
    other = PlaceOrder(1002, "B-Q", Side.BUY, OrderType.LIMIT, 1, 100, client_order_id="c-1")
    prints = [fingerprint_of(command, encode(command)) for command in (terms, again, other)]
    assert prints[0] == prints[1] != prints[2]
    money = [Deposit(1001, "USD", amount, "t-1") for amount in ("5", "6")]
    assert len({fingerprint_of(command, encode(command)) for command in money}) == 1
    assert fingerprint("a") != fingerprint("b")
