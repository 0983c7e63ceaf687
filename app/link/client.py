"""A replica's end of the link: finds the leader, keeps one connection, resends what is safe.

Commands of one session reach the leader in the order of the `submit` calls: there is one
connection, written in call order, and after a loss the resends go first, in their old order.
A lost link leaves the outcome open: what has a natural key is sent once more within its
deadline, anything else answers `execution_unknown`.
"""

import asyncio
import hmac
import os
import random
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from app.breaker import Breaker
from app.domain.commands import Command
from app.domain.outcomes import Outcome
from app.domain.standing import AccountStanding
from app.errors import ApiError, LinkError
from app.link.connection import Link
from app.link.frames import (
    BEAT_INTERVAL_S,
    BUSY_RETRY_MS,
    DEADLINE_DEFAULT_MS,
    HANDSHAKE_TIMEOUT_S,
    NONCE_BYTES,
    SILENCE_MAX_S,
    Answer,
    Beat,
    BookAnswer,
    BookRequest,
    Challenge,
    EngineStatus,
    Hello,
    Refusal,
    Reply,
    Request,
    StandingAnswer,
    StandingRequest,
    StatusAnswer,
    StatusRequest,
    Submit,
    Welcome,
    leader_proof,
    replica_proof,
)
from app.link.holds import Holds
from app.link.pending import Pending, is_cancel
from app.link.resending import resendable
from app.protocol.modes import Finding
from app.protocol.ports import BookView
from app.tasks import end_all

PENDING_MAX = 10_000
"""Requests without an answer that a replica keeps; beyond it 503."""
CANCEL_RESERVE = PENDING_MAX // 10
"""Of these, places that only cancels may take."""
HOLD_S = 0.01
"""How long a replica keeps new orders back after the leader had no room: its queue holds several times that."""
CONNECT_WAIT_MAX_S = 1.0
"""How long a command waits for a leader before it answers `engine_unavailable`."""
BACKOFF_FIRST_S = 0.02
BACKOFF_MAX_S = 0.1
"""Short: a standby leads within a quarter of a second, and asking where costs one row."""
QUERY_TIMEOUT_S = 5.0

_NOT_NOW = ("engine_unavailable", "cancel_only", "deadline_exceeded")
"""Refusals that say how the leader is, not what it knows of the command."""

log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode

Locate = Callable[[], Awaitable[tuple[str, int] | None]]
"""Returns the leader's `host:port` and term, or None while there is none."""


class LinkClient:
    """Submits commands to whoever leads."""

    def __init__(
        self, *, shard: int, secret: bytes, replica: str, build: str, locate: Locate, breaker: Breaker | None = None
    ) -> None:
        self._shard = shard
        self._secret = secret
        self._replica = replica
        self._build = build
        self._locate = locate
        self._breaker = breaker or Breaker("engine")
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._challenge: Challenge | None = None
        self._nonce = b""
        self._pending: dict[int, Pending] = {}
        self._request_id = 0
        self._ready = asyncio.Event()
        self.tasks: tuple[asyncio.Task[None], ...] = ()
        """What runs from `start` to `stop`: without it a lost leader is never found again."""
        self._held_until = 0.0
        self._tells_standings = False
        self.term = 0
        self.epoch = 0
        self.head_seq = 0
        """Committed head that the leader last told."""
        self.findings: tuple[Finding, ...] = ()
        """What the leader last said is wrong around it."""
        self.holds = Holds()
        """Guarded sessions of this replica."""

    @property
    def connected(self) -> bool:
        """Whether a leader is there."""
        return self._ready.is_set()

    @property
    def pending(self) -> int:
        """Requests that wait for their answer."""
        return len(self._pending)

    async def start(self) -> None:
        """Begin to look for the leader."""
        self.tasks = (asyncio.create_task(self._keep_connected(), name="link"),)

    async def stop(self) -> None:
        """Close the link; what is pending fails as unknown."""
        await end_all(self.tasks)
        if self._link is not None:
            self._link.abort()
        self._lose()
        for request_id in list(self._pending):
            self._fail(request_id)

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait until a leader is there; returns whether it is."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    async def submit(
        self, command: Command, *, session_id: str | None = None, deadline_ms: int | None = None
    ) -> Outcome:
        """Execute one command; returns after its batch is committed.

        Raises ApiError: engine_unavailable (not executed), execution_unknown, deadline_exceeded (not executed).
        """
        budget = DEADLINE_DEFAULT_MS if deadline_ms is None else deadline_ms
        self._require_room(command)
        request_id, pending = self._enqueue(_encode(command), budget / 1000, resendable(command))
        # Not a timeout context: that and a callback on the future would cost half of this call.
        timer = self._loop.call_at(pending.deadline, self._fail, request_id)
        try:
            outcome: Outcome = await pending.future
        finally:
            timer.cancel()
            self._pending.pop(request_id, None)
        return outcome

    async def book(self, symbol: str) -> BookView:
        """Return the committed book of a symbol from the leader's view."""
        answer = await self._ask(lambda request_id: BookRequest(request_id, symbol))
        if not isinstance(answer, BookView):
            raise ApiError("unknown_symbol", f"{symbol} is not listed", status=404)
        return answer

    async def status(self) -> EngineStatus:
        """Return where the leader stands."""
        answer = await self._ask(StatusRequest)
        assert isinstance(answer, EngineStatus)
        return answer

    async def standing(self, account_id: int) -> AccountStanding:
        """Return how an account stands, with everything that was committed when this was called.

        Raises ApiError: engine_unavailable, service_unavailable (too many ask), not_found.
        """
        await self._wait_leader()
        if not self._tells_standings:
            raise ApiError("engine_unavailable", "the engine's version cannot tell yet", retry_after_ms=500)
        answer = await self._ask(lambda request_id: StandingRequest(request_id, account_id))
        if not isinstance(answer, AccountStanding):
            raise ApiError("not_found", "there is no such account")
        return answer

    def _require_room(self, command: Command) -> None:
        """Refuse here what the leader would refuse: at ten times its capacity, refusing must not be its work."""
        if is_cancel(command):
            if len(self._pending) < PENDING_MAX:
                return
        elif len(self._pending) < PENDING_MAX - CANCEL_RESERVE and self._loop.time() >= self._held_until:
            return
        raise ApiError("engine_unavailable", "the engine is busy", retry_after_ms=BUSY_RETRY_MS)

    def _enqueue(self, command: bytes, budget_s: float, can_resend: bool) -> tuple[int, Pending]:
        """Register a command and write it at once when connected, so that call order is send order."""
        if not self._ready.is_set():
            self._require_patience()
        loop = self._loop
        pending = Pending(loop.create_future(), loop.time() + budget_s, command, can_resend)
        self._request_id += 1
        request_id = self._request_id
        self._pending[request_id] = pending
        if self._ready.is_set():
            self._write(request_id, pending)
        else:
            loop.call_later(min(CONNECT_WAIT_MAX_S, budget_s), self._give_up, request_id)
        return request_id, pending

    def _write(self, request_id: int, pending: Pending) -> None:
        assert self._link is not None and pending.command is not None
        left_ms = int((pending.deadline - self._loop.time()) * 1000)
        if left_ms <= 0:
            self._fail(request_id)
            return
        pending.attempt += 1
        pending.sent = True
        self._link.send(Submit(request_id, left_ms, pending.attempt, pending.command))

    def _give_up(self, request_id: int) -> None:
        pending = self._pending.get(request_id)
        if pending is not None and not pending.sent:
            self._breaker.fail()
            self._fail(request_id)

    def _require_patience(self) -> None:
        """Let a few commands wait for a leader; once enough of them did so in vain, refuse at once."""
        wait_ms = self._breaker.admit()
        if wait_ms:
            raise ApiError("engine_unavailable", "no engine is leading right now", retry_after_ms=wait_ms)

    def _fail(self, request_id: int) -> None:
        pending = self._pending.get(request_id)
        if pending is not None and not pending.future.done():
            pending.future.set_exception(pending.unknown())

    async def _wait_leader(self) -> Link:
        """Return the connection to a leader, waiting for one within bounds. Raises ApiError `engine_unavailable`."""
        if not self._ready.is_set():
            self._require_patience()
        if not await self.wait_connected(CONNECT_WAIT_MAX_S) or self._link is None:
            self._breaker.fail()
            raise ApiError("engine_unavailable", "no engine is leading right now", retry_after_ms=500)
        return self._link

    async def _ask(self, make: Callable[[int], Request]) -> object:
        link, loop = await self._wait_leader(), self._loop
        pending = Pending(loop.create_future(), loop.time() + QUERY_TIMEOUT_S, None, False)
        self._request_id += 1
        request_id = self._request_id
        self._pending[request_id] = pending
        try:
            link.send(make(request_id))
            async with asyncio.timeout_at(pending.deadline):
                return await pending.future
        except TimeoutError:
            raise ApiError("engine_unavailable", "the engine did not answer in time", retry_after_ms=500) from None
        finally:
            self._pending.pop(request_id, None)

    def on_reply(self, link: Link, reply: Reply) -> None:
        """Handle a message of the current leader."""
        if link is not self._link:
            return
        if isinstance(reply, Answer):
            self._settle(reply.request_id, reply.outcome)
        elif isinstance(reply, Refusal):
            self._refused(reply)
        elif isinstance(reply, Beat):
            self.head_seq, self.findings = reply.head_seq, reply.findings
        elif isinstance(reply, BookAnswer):
            self._settle(reply.request_id, reply.book)
        elif isinstance(reply, StatusAnswer):
            self._settle(reply.request_id, reply.status)
        elif isinstance(reply, StandingAnswer):
            self._settle(reply.request_id, reply.standing)
        elif isinstance(reply, Challenge):
            self._answer_challenge(link, reply)
        elif isinstance(reply, Welcome):
            self._welcome(reply)

    def _refused(self, refusal: Refusal) -> None:
        if refusal.code == "engine_unavailable":
            self._held_until = self._loop.time() + HOLD_S * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
        pending = self._pending.get(refusal.request_id)
        if pending is not None and pending.attempt > 1 and refusal.code in _NOT_NOW:
            # It was not executed this time; the first time, whose link was lost, it may have been.
            self._settle(refusal.request_id, pending.unknown())
            return
        self._settle(refusal.request_id, ApiError(refusal.code, refusal.detail, retry_after_ms=refusal.retry_after_ms))

    def _settle(self, request_id: int, result: object) -> None:
        pending = self._pending.get(request_id)
        if pending is None or pending.future.done():
            return
        if isinstance(result, ApiError):
            pending.future.set_exception(result)
        else:
            pending.future.set_result(result)

    def _answer_challenge(self, link: Link, challenge: Challenge) -> None:
        if challenge.shard != self._shard:
            raise LinkError(f"expected shard {self._shard}, was {challenge.shard}", sent=False)
        self._challenge = challenge
        self._nonce = os.urandom(NONCE_BYTES)
        proof = replica_proof(self._secret, challenge, self._nonce)
        link.send(Hello(self._shard, self._replica, self._build, self._nonce, proof))

    def _welcome(self, welcome: Welcome) -> None:
        assert self._challenge is not None, "expected a challenge before the welcome"
        if not hmac.compare_digest(welcome.proof, leader_proof(self._secret, self._challenge, self._nonce)):
            raise LinkError("the leader does not know LINK_SECRET", sent=False)
        if welcome.term < self.term:
            raise LinkError(f"expected term {self.term} or later, was {welcome.term}", sent=False)
        self.term, self.epoch, self.head_seq = welcome.term, welcome.epoch, welcome.head_seq
        self._tells_standings = welcome.tells_standings
        self._breaker.succeed()
        self._ready.set()
        assert self._link is not None
        # First of all: what is resent may come of a session that this leader must know.
        self.holds.attach(self._link.send)
        for request_id, pending in list(self._pending.items()):
            if pending.command is not None:
                self._write(request_id, pending)

    async def _keep_connected(self) -> None:
        backoff = BACKOFF_FIRST_S
        while True:
            if await self._connect_once():
                backoff = BACKOFF_FIRST_S
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
            backoff = min(backoff * 2, BACKOFF_MAX_S)

    async def _connect_once(self) -> bool:
        """Hold one connection until it ends; returns whether it had been welcomed."""
        welcomed = False
        try:
            found = await self._locate()
            if found is None or found[1] < self.term or not found[0]:
                return False
            host, _, port = found[0].rpartition(":")
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                _, link = await self._loop.create_connection(self._made, host, int(port))
            await self._supervise(link)
        except (OSError, TimeoutError, LinkError) as error:
            log.debug("link_connect_failed", reason=str(error))
        finally:
            if self._link is not None:
                self._link.abort()
                welcomed = self._ready.is_set()
                self._lose()
        return welcomed

    def _made(self) -> Link:
        """Return the next link, which is the current one from its first byte: that may arrive before we go on."""
        self._link = Link(self.on_reply)
        return self._link

    async def _supervise(self, link: Link) -> None:
        """Beat until the connection ends, or until the leader falls silent."""
        loop = self._loop
        opened = loop.time()
        while not link.closed.done():
            await asyncio.wait([link.closed], timeout=BEAT_INTERVAL_S)
            now = loop.time()
            late = not self._ready.is_set() and now - opened > HANDSHAKE_TIMEOUT_S
            if late or now - link.heard > SILENCE_MAX_S:
                return
            if self._ready.is_set():
                link.send(Beat())

    def _lose(self) -> None:
        """Settle what was sent on a lost link: keep what may be resent once, fail the rest, and every question."""
        self._link = None
        self.holds.detach()
        self.findings = ()
        self._ready.clear()
        loop = self._loop
        for request_id, pending in list(self._pending.items()):
            if not pending.sent and pending.command is not None:
                continue
            if pending.resendable and pending.attempt < 2:
                loop.call_at(pending.deadline, self._fail, request_id)
            else:
                self._fail(request_id)
