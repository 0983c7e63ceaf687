"""The link client against a real listening leader on loopback, with a scripted leader behind it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from app.breaker import FAILURES_IN_A_ROW, Breaker
from app.domain.commands import AmendOrder, CancelOrder, CreateAccount, PlaceOrder
from app.domain.enums import DisconnectScope, OrderType, Side
from app.domain.identity import SessionKey
from app.domain.outcomes import Outcome
from app.domain.standing import AccountStanding, FeeStanding, LimitStanding
from app.errors import ApiError
from app.link import client as client_module
from app.link import holds as holds_module
from app.link import server as server_module
from app.link.client import LinkClient
from app.link.frames import (
    Answer,
    EngineStatus,
    HeldSession,
    StandingAnswer,
    StandingRequest,
    StatusAnswer,
    Submit,
    Welcome,
    encode_frame,
)
from app.link.server import Connection, LinkServer, refusal
from app.protocol.modes import Finding, Mode, Part
from app.protocol.ports import BookView
from app.protocol.records import decode_command

STANDING = AccountStanding(
    5,
    (LimitStanding("open_notional", "tier", "USD", str(10**30), "-1"),),
    (FeeStanding("USD", "7", "0", ((str(10**30), -1, 2),)),),
)
SECRET = b"the shared secret of this test, long"


class ScriptedLeader:
    """Answers at once, keeps silent, or drops the link, as a test tells it."""

    def __init__(self, term: int = 1) -> None:
        self.shard = 0
        self.term = term
        self.epoch = 7
        self.head_seq = 0
        self.findings: tuple[Finding, ...] = ()
        self.seen: list[tuple[object, int]] = []
        self.told: list[tuple[str, list[str]]] = []
        """What it heard of guarded sessions."""
        self.silent = False
        self.drop_next = 0
        self.refuse_with: str | None = None

    def submit(self, request: Submit, connection: Connection) -> None:
        self.seen.append((decode_command(request.command), request.attempt))
        if self.drop_next:
            self.drop_next -= 1
            connection.close()
        elif self.refuse_with is not None:
            connection.send(refusal(request, self.refuse_with, "as told", 100))
        elif not self.silent:
            self.head_seq += 1
            connection.send_frame(encode_frame(Answer(request.request_id, Outcome(self.head_seq, 1))))

    def hold(self, link: Connection, sessions: Iterable[HeldSession], *, is_again: bool) -> None:
        self.told.append(("again" if is_again else "hold", [session.session_id for session in sessions]))

    def release(self, link: Connection, keys: Iterable[SessionKey]) -> None:
        self.told.append(("release", [key.session_id for key in keys]))

    def lose(self, link: Connection, silent_s: float) -> None:
        self.told.append(("lose", []))

    def book(self, symbol: str) -> BookView | None:
        return BookView(symbol, 5, 7, 3, 1, [(10, 1)], []) if symbol == "BTC-USD" else None

    def standing(self, request: StandingRequest, connection: Connection) -> None:
        if self.silent:
            connection.close()
        elif self.refuse_with is not None:
            connection.send(refusal(request, self.refuse_with, "as told", 100))
        else:
            connection.send(StandingAnswer(request.request_id, STANDING if request.account_id == 1001 else None))

    def status(self, request_id: int, connection: Connection) -> None:
        connection.send(StatusAnswer(request_id, EngineStatus(0, self.term, 7, 5, "ab", 5, 1, "test", "normal", 0)))


@asynccontextmanager
async def linked(
    leader: ScriptedLeader, *, secret: bytes = SECRET, shard: int = 0
) -> AsyncIterator[tuple[LinkClient, LinkServer]]:
    sock = socket.create_server(("127.0.0.1", 0))
    server = LinkServer(leader, leader, SECRET)
    await server.start(sock)
    address = f"127.0.0.1:{sock.getsockname()[1]}"

    async def locate() -> tuple[str, int]:
        return address, leader.term

    client = LinkClient(shard=shard, secret=secret, replica="r1", build="test", locate=locate)
    await client.start()
    try:
        yield client, server
    finally:
        await client.stop()
        await server.stop()


def order(client_order_id: str | None, quantity: int = 1) -> PlaceOrder:
    return PlaceOrder(1001, "BTC-USD", Side.BUY, OrderType.LIMIT, quantity, price=10, client_order_id=client_order_id)


async def test_commands_reach_the_leader_in_call_order_and_outcomes_come_back() -> None:
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        assert await client.wait_connected(2)
        assert client.epoch == 7
        outcomes = await asyncio.gather(*(client.submit(order(None, n)) for n in range(1, 200)))
        assert [outcome.engine_seq for outcome in outcomes] == list(range(1, 200))
        assert [command.quantity for command, _ in leader.seen if isinstance(command, PlaceOrder)] == list(
            range(1, 200)
        )


async def test_a_wrong_secret_is_never_welcomed() -> None:
    async with linked(ScriptedLeader(), secret=b"another secret, also long enough") as (client, _):
        assert not await client.wait_connected(0.5)
        with pytest.raises(ApiError) as caught:
            await client.submit(order("a"), deadline_ms=100)
        assert caught.value.code == "engine_unavailable"


async def test_a_leader_of_another_shard_is_not_used() -> None:
    async with linked(ScriptedLeader(), shard=1) as (client, _):
        assert not await client.wait_connected(0.4)


async def test_a_command_with_a_natural_key_is_sent_again_once_after_a_lost_link() -> None:
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        leader.drop_next = 1
        outcome = await client.submit(order("mine"))
        assert outcome.engine_seq == 1
        assert [attempt for _, attempt in leader.seen] == [1, 2]


async def test_a_command_without_a_natural_key_is_unknown_after_a_lost_link() -> None:
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        leader.drop_next = 1
        with pytest.raises(ApiError) as caught:
            await client.submit(order(None))
        assert (caught.value.code, caught.value.retryable) == ("execution_unknown", False)
        assert len(leader.seen) == 1


async def test_a_second_lost_link_ends_in_unknown_but_retryable() -> None:
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        leader.drop_next = 2
        with pytest.raises(ApiError) as caught:
            await client.submit(CancelOrder(1001, 5))
        assert (caught.value.code, caught.value.retryable) == ("execution_unknown", True)
        assert [attempt for _, attempt in leader.seen] == [1, 2]


UNKNOWN = "execution_unknown"
NOT_NOW = ("engine_unavailable", "cancel_only", "deadline_exceeded")


@pytest.mark.parametrize(("code", "told"), [*((code, UNKNOWN) for code in NOT_NOW), ("quarantined", "quarantined")])
async def test_what_refuses_the_second_time_says_of_the_first_only_what_holds_for_both(code: str, told: str) -> None:
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        leader.drop_next, leader.refuse_with = 1, code
        with pytest.raises(ApiError) as caught:
            await client.submit(AmendOrder(1001, 5, 2, 10, if_version=1))
        assert (caught.value.code, caught.value.retryable is True) == (told, told == UNKNOWN)
        assert [attempt for _, attempt in leader.seen] == [1, 2]


async def test_silence_past_the_deadline_is_unknown() -> None:
    leader = ScriptedLeader()
    leader.silent = True
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        with pytest.raises(ApiError) as caught:
            await client.submit(CreateAccount("x"), deadline_ms=50)
        assert caught.value.code == "execution_unknown"


async def test_a_refusal_carries_its_code_and_was_not_executed() -> None:
    leader = ScriptedLeader()
    leader.refuse_with = "deadline_exceeded"
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        with pytest.raises(ApiError) as caught:
            await client.submit(order("a"))
        assert (caught.value.code, caught.value.retry_after_ms) == ("deadline_exceeded", 100)


async def test_books_and_status_are_answered() -> None:
    async with linked(ScriptedLeader()) as (client, _):
        await client.wait_connected(2)
        assert (await client.book("BTC-USD")).bids == [(10, 1)]
        assert (await client.status()).engine_seq == 5
        with pytest.raises(ApiError) as caught:
            await client.book("NOPE")
        assert caught.value.code == "unknown_symbol"


async def test_standings_are_answered_or_refused() -> None:
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        assert await client.standing(1001) == STANDING
        with pytest.raises(ApiError) as caught:
            await client.standing(4711)
        assert caught.value.code == "not_found"
        leader.refuse_with = "service_unavailable"
        with pytest.raises(ApiError) as caught:
            await client.standing(1001)
        assert (caught.value.code, caught.value.retry_after_ms) == ("service_unavailable", 100)


async def test_a_question_fails_at_once_with_the_link_it_went_over() -> None:
    leader = ScriptedLeader()
    leader.silent = True
    async with linked(leader) as (client, _):
        await client.wait_connected(2)
        async with asyncio.timeout(1):
            with pytest.raises(ApiError) as caught:
                await client.standing(1001)
        assert caught.value.code == "engine_unavailable"


async def test_a_leader_of_a_version_before_is_not_asked_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def older(term: int, epoch: int, head_seq: int, proof: bytes, **_: bool) -> Welcome:
        return Welcome(term, epoch, head_seq, proof)

    monkeypatch.setattr(server_module, "Welcome", older)
    async with linked(ScriptedLeader()) as (client, _):
        await client.wait_connected(2)
        with pytest.raises(ApiError) as caught:
            await client.standing(1001)
        assert caught.value.code == "engine_unavailable"
        assert client.connected


async def test_a_lower_term_than_seen_is_refused() -> None:
    leader = ScriptedLeader(term=5)
    async with linked(leader) as (client, server):
        await client.wait_connected(2)
        leader.term = 4
        await server.stop()
        await asyncio.sleep(0.3)
        assert not client.connected


async def test_what_is_wrong_around_the_leader_arrives_with_its_beats() -> None:
    leader = ScriptedLeader()
    async with linked(leader) as (client, server):
        assert await client.wait_connected(5)
        leader.findings = (Finding(Part.DISK, Mode.CANCEL_ONLY, "nearly full"),)
        server.tell_all()
        async with asyncio.timeout(5):
            while client.findings != leader.findings:  # noqa: ASYNC110  # polls what the link learns
                await asyncio.sleep(0.01)


async def test_without_a_leader_some_wait_in_vain_and_the_rest_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "CONNECT_WAIT_MAX_S", 0.05)
    found: list[tuple[str, int]] = []

    async def locate() -> tuple[str, int] | None:
        return found[0] if found else None

    breaker = Breaker("engine")
    client = LinkClient(shard=0, secret=SECRET, replica="r1", build="test", locate=locate, breaker=breaker)
    await client.start()
    leader = ScriptedLeader()
    server = LinkServer(leader, leader, SECRET)
    try:
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(ApiError, match="no engine"):
                await client.submit(order("a"))
        assert breaker.is_open
        started = asyncio.get_running_loop().time()
        with pytest.raises(ApiError) as refused:
            await client.submit(order("a"))
        assert asyncio.get_running_loop().time() - started < 0.04
        assert (refused.value.code, refused.value.retry_after_ms is not None) == ("engine_unavailable", True)
        sock = socket.create_server(("127.0.0.1", 0))
        await server.start(sock)
        found.append((f"127.0.0.1:{sock.getsockname()[1]}", 1))
        assert await client.wait_connected(5)
        assert not breaker.is_open
        await client.submit(order("a"))
    finally:
        await client.stop()
        await server.stop()


async def test_a_leader_without_room_is_not_asked_again_at_once_but_cancels_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "HOLD_S", 0.4)
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        assert await client.wait_connected(5)
        leader.refuse_with = "engine_unavailable"
        for _ in range(5):
            with pytest.raises(ApiError) as refused:
                await client.submit(order("a"))
            assert (refused.value.code, refused.value.retry_after_ms) == ("engine_unavailable", 100)
        assert len(leader.seen) == 1
        leader.refuse_with = None
        await client.submit(CancelOrder(1001, 1))
        await asyncio.sleep(0.45)
        await client.submit(order("a"))
        assert len(leader.seen) == 3


async def test_a_replica_keeps_places_for_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PENDING_MAX", 3)
    monkeypatch.setattr(client_module, "CANCEL_RESERVE", 1)
    leader = ScriptedLeader()
    leader.silent = True
    async with linked(leader) as (client, _):
        assert await client.wait_connected(5)
        waiting = [asyncio.create_task(client.submit(order("a"), deadline_ms=300)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="busy"):
            await client.submit(order("b"))
        waiting.append(asyncio.create_task(client.submit(CancelOrder(1001, 1), deadline_ms=300)))
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="busy"):
            await client.submit(CancelOrder(1001, 2))
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert {error.code for error in found if isinstance(error, ApiError)} == {"execution_unknown"}


async def told(leader: ScriptedLeader, expected: list[tuple[str, list[str]]]) -> None:
    """Return once the leader heard exactly this, in any order of the loss and the next link; clears it."""
    async with asyncio.timeout(2):
        while sorted(leader.told) != sorted(expected):  # noqa: ASYNC110  # polls what another task hears
            await asyncio.sleep(0.005)
    leader.told.clear()


async def test_guarded_sessions_are_told_before_what_follows_and_again_on_every_new_link() -> None:
    leader = ScriptedLeader()
    first, second = SessionKey(1001, "first"), SessionKey(1001, "second")
    async with linked(leader) as (client, _):
        client.holds.hold(first, DisconnectScope.SESSION, 10)
        await client.wait_connected(2)
        await told(leader, [("again", ["first"])])
        client.holds.hold(second, DisconnectScope.ACCOUNT, 20)
        client.holds.hold(second, DisconnectScope.ACCOUNT, 20)
        await client.submit(order("a"))
        assert leader.told == [("hold", ["second"])]
        leader.told.clear()
        leader.drop_next = 1
        await client.submit(order("b"))
        await told(leader, [("lose", []), ("again", ["first", "second"])])
        client.holds.release(second)
        await client.submit(order("c"))
        assert leader.told == [], "one socket is left that answers for it"
        client.holds.release(second)
        await told(leader, [("release", ["second"])])
    await told(leader, [("lose", [])])


async def test_a_replica_announces_its_sessions_in_frames_that_a_leader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds_module, "HELD_CHUNK", 2)
    monkeypatch.setattr(holds_module, "HELD_MAX", 5)
    leader = ScriptedLeader()
    async with linked(leader) as (client, _):
        for number in range(5):
            client.holds.hold(SessionKey(1001, str(number)), DisconnectScope.SESSION, 10)
        with pytest.raises(ApiError, match="no more sessions"):
            client.holds.hold(SessionKey(1001, "5"), DisconnectScope.SESSION, 10)
        await told(leader, [("again", ["0", "1"]), ("again", ["2", "3"]), ("again", ["4"])])
