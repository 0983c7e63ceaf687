"""The loop of the leader: queued commands, applied in memory, committed in natural batches.

A batch is whatever queued while the previous commit ran. At most one append is in flight; while it
commits, the next batch is applied, and nothing of that is visible anywhere. Answers, the publisher
view and the bus change only after the commit. If an append fails the process stops and replays.
"""

import asyncio
import time
from typing import Protocol

import msgspec
import structlog

from app.domain.commands import Command, Tick
from app.domain.events import EpochStarted, InstrumentListed
from app.domain.outcomes import Outcome
from app.engine.engine import ENGINE_VERSION, Engine
from app.link.frames import BUSY_RETRY_MS, Answer, EngineStatus, StandingRequest, StatusAnswer, Submit, encode_frame
from app.link.server import Connection, refusal
from app.protocol.modes import Finding
from app.protocol.ports import BookView, BusEntry
from app.protocol.records import (
    BATCH_BYTES_MAX,
    BATCH_COMMANDS_MAX,
    BATCH_EVENTS_MAX,
    chain_hash,
    decode_command,
    encode,
    without_commands,
)
from app.sequencer.alarm import Alarm
from app.sequencer.batch import build_record
from app.sequencer.clock import LeaderClock
from app.sequencer.flight import Flight
from app.sequencer.modes import LeaderModes, orders_of
from app.sequencer.publisher import Publisher
from app.sequencer.questions import Questions, Readings
from app.sequencer.queue import CommandQueue, Queued
from app.sequencer.view import PublisherView
from app.stages import TIMES, Stage
from app.storage.journal import Journal, JournalRow

APPLY_SLICE_S = 0.01
"""Longest stretch of applying before the loop looks at its sockets again."""
BEAT_IDLE_S = 0.25
TICK = Tick()
TICK_DATA = encode(TICK)

_QUEUE_TIMES, _APPLY_TIMES = TIMES[Stage.QUEUE], TIMES[Stage.APPLY]

log = structlog.get_logger(__name__)


class Metrics(Protocol):
    """What the loop reports."""

    def batch_committed(self, commands: int, size: int, seconds: float) -> None:
        """Count one committed batch."""


class Sequencer:
    """The leader of one shard; stands behind the link."""

    def __init__(
        self,
        *,
        engine: Engine,
        journal: Journal,
        head_hash: bytes,
        clock: LeaderClock,
        publisher: Publisher,
        shard: int,
        term: int,
        build: str,
        metrics: Metrics,
        modes: LeaderModes | None = None,
    ) -> None:
        self.shard = shard
        self.term = term
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._publisher = publisher
        self._build = build
        self._metrics = metrics
        self._modes = modes or LeaderModes()
        self._head_hash = head_hash
        self._view = PublisherView()
        state = engine.state
        self._view.load(state.books, head_seq=state.sequence, epoch=state.epoch, timestamp_ns=state.timestamp_ns)
        self._queue = CommandQueue()
        self._wake = asyncio.Event()
        self._commands: list[bytes] = []
        self._answers: list[tuple[Connection, int, Outcome]] = []
        self._events = 0
        self._bytes = 0
        self._flight: Flight | None = None
        self._alarm = Alarm(self._wake.set)
        self._questions = Questions()
        self._beaten = time.monotonic()
        """When the head row was last seen to move."""
        self._stopping = False
        self.applying: bytes | None = None
        """Command that the engine is in, or that it raised at."""

    @property
    def epoch(self) -> int:
        """Return the committed epoch."""
        return self._view.epoch

    @property
    def head_seq(self) -> int:
        """Return the last committed sequence."""
        return self._view.head_seq

    @property
    def head_hash(self) -> bytes:
        """Return the hash of the last row that was appended or is being appended."""
        return self._head_hash

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return what is wrong around the leader."""
        return self._modes.findings

    # ---- what the link asks --------------------------------------------------------------------

    def submit(self, request: Submit, connection: Connection) -> None:
        """Queue a command, or refuse it at once when there is no room or it cannot be read."""
        try:
            command = decode_command(request.command)
        except msgspec.DecodeError:
            connection.send(refusal(request, "invalid_request", "the engine cannot read the command"))
            return
        if self._stopping or not self._queue.has_room(command):
            connection.send(refusal(request, "engine_unavailable", "the engine's queue is full", BUSY_RETRY_MS))
            return
        now, modes = time.monotonic(), self._modes
        if modes.asked_s is not None and not modes.commits_at(now):
            connection.send(refusal(request, "engine_unavailable", "the journal does not commit", 1000))
            return
        if modes.cancel_only is not None and modes.refuses(command) and not self._is_repeated(command):
            connection.send(refusal(request, "cancel_only", modes.cancel_only, 1000))
            return
        if modes.throttled is not None and not self._is_repeated(command) and modes.throttles(command):
            connection.send(refusal(request, "engine_unavailable", modes.throttled, 1000))
            return
        deadline = now + request.deadline_ms / 1000
        self._queue.append(Queued(command, request.command, now, deadline, request.request_id, connection))
        self._wake.set()

    def _is_repeated(self, command: Command) -> bool:
        """Return whether all its orders were placed before: to say so changes nothing, and ends an unknown outcome."""
        known, orders = self._engine.state.accounts, orders_of(command)
        return bool(orders) and all(
            order.account_id in known and order.client_order_id in known[order.account_id].client_ids
            for order in orders
        )

    def execute(self, command: Command) -> None:
        """Queue a command of our own; nobody waits for its answer."""
        self._queue.append(Queued(command, encode(command), time.monotonic(), float("inf"), 0, None))
        self._wake.set()

    def book(self, symbol: str) -> BookView | None:
        """Return a committed book."""
        return self._view.book(symbol)

    def status(self, request_id: int, connection: Connection) -> None:
        """Answer with the status at the next sealed and committed state."""
        self._questions.ask_status(request_id, connection)
        self._wake.set()

    def standing(self, request: StandingRequest, connection: Connection) -> None:
        """Answer how an account stands at the next sealed and committed state, or refuse when too many ask."""
        self._questions.ask_standing(request, connection)
        self._wake.set()

    # ---- the loop ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Lead until stopped. Raises Fenced or JournalUnavailable: the process must end and replay."""
        loop = asyncio.get_running_loop()
        self._wake.set()
        while True:
            await self._wait()
            landed = self._flight if self._flight is not None and self._flight.append.done() else None
            if landed is not None:
                landed.append.result()
                self._flight = None
            self._apply_queued()
            if self._flight is None:
                if self._commands:
                    self._launch()
                elif self._questions:
                    self._answer(self._questions.look(self._engine, self._now_ns()))
                    # Not at once: what is left over must not keep sockets waiting.
                    loop.call_soon(self._wake.set)
            if landed is not None:
                # Two turns on: what the append writes with the next one is sent at its end, and must not wait for this.
                loop.call_soon(loop.call_soon, self._publish, landed)
            if self._stopping and self._flight is None and not self._queue:
                return

    def stop(self) -> None:
        """Take no more commands; `run` returns once what was taken is committed."""
        self._stopping = True
        self._wake.set()

    async def _wait(self) -> None:
        """Sleep until there is something to do; beat when nothing was committed for a while, whoever asks what."""
        if self._queue and not self._full:
            # Applying was cut short: give sockets one turn, then go on.
            await asyncio.sleep(0)
            return
        pause = BEAT_IDLE_S
        if self._flight is None:
            pause = self._beaten + BEAT_IDLE_S - time.monotonic()
            if pause <= 0:
                await self._beat()
                pause = BEAT_IDLE_S
        if not self._wake.is_set():
            due = self._seconds_to_deadline()
            if due <= 0:
                await asyncio.sleep(0)
                return
            self._alarm.set(min(due, pause))
            await self._wake.wait()
        self._wake.clear()

    async def _beat(self) -> None:
        self._modes.begin_commit()
        await self._journal.beat(self.term, self.head_seq, self._head_hash)
        self._modes.end_commit()
        self._beaten = time.monotonic()

    def _seconds_to_deadline(self) -> float:
        """Return how long the engine can go without a Tick; while a batch is open, its head was the place for one."""
        deadline = None if self._commands or self._stopping else self._engine.next_deadline
        return float("inf") if deadline is None else (deadline - self._now_ns()) / 1e9

    def _now_ns(self) -> int:
        """Return the time a batch would have now."""
        return max(self._clock.now_ns(), self._engine.state.timestamp_ns)

    @property
    def _full(self) -> bool:
        """Whether the open batch is at one of its bounds."""
        return (
            len(self._commands) >= BATCH_COMMANDS_MAX
            or self._events >= BATCH_EVENTS_MAX
            or self._bytes >= BATCH_BYTES_MAX
        )

    def _apply_queued(self) -> None:
        """Apply queued commands to the open batch, within its bounds and one slice of time."""
        queue = self._queue
        started = time.monotonic()
        if not self._commands:
            self._begin()
        engine, commands, answers, now_s = self._engine, self._commands, self._answers, time.monotonic
        before, longest, waited = len(commands), 0.0, 0.0
        while queue and not self._full:
            item = queue.popleft()
            now = now_s()
            # The first of a batch is taken: what was begun for it gets a row.
            if now > item.deadline and commands:
                self._refuse_late(item)
                continue
            waited += now - item.received
            longest = longest or waited
            self.applying = item.data
            self._events += len(engine.apply(item.command))
            commands.append(item.data)
            self._bytes += len(item.data)
            if item.connection is not None:
                answers.append((item.connection, item.request_id, engine.outcome))
            if now - started > APPLY_SLICE_S:
                break
        applied = len(commands) - before
        if applied:
            # First in, first out: the first waited longest. The others count with their mean.
            _QUEUE_TIMES.add(longest)
            if applied > 1:
                _QUEUE_TIMES.add((waited - longest) / (applied - 1), applied - 1)
            seconds = now_s() - started
            _APPLY_TIMES.add(seconds / applied, applied)
            self._queue.worked(applied, seconds)

    def _begin(self) -> None:
        """Open a batch if there is something for it; a Tick that is due stands at its head.

        That moves the engine's time, so whatever comes first must not be late: only a row makes a replay do the same.
        """
        while self._queue and time.monotonic() > self._queue[0].deadline:
            self._refuse_late(self._queue.popleft())
        now_ns, deadline = self._now_ns(), self._engine.next_deadline
        is_due = deadline is not None and deadline <= now_ns and not self._stopping
        if not self._queue and not is_due:
            return
        self._engine.begin(now_ns)
        if is_due:
            self._events += len(self._engine.apply(TICK))
            self._commands.append(TICK_DATA)
            self._bytes += len(TICK_DATA)

    def _refuse_late(self, item: Queued) -> None:
        if item.connection is not None:
            request = Submit(item.request_id, 0, 1, b"")
            item.connection.send(refusal(request, "deadline_exceeded", "the deadline passed in the engine's queue"))

    def _launch(self) -> None:
        """Seal the open batch and start its append."""
        self.applying = None
        state = self._engine.state
        sealed = self._engine.seal()
        record = build_record(
            sealed, self._commands, last_seq=state.sequence, term=self.term, timestamp_ns=state.timestamp_ns
        )
        body = encode(record)
        row = JournalRow(
            last_seq=record.last_seq,
            first_seq=record.first_seq,
            term=self.term,
            prev_hash=self._head_hash,
            hash=chain_hash(self._head_hash, body),
            engine_version=ENGINE_VERSION,
            timestamp_ns=state.timestamp_ns,
            body=body,
        )
        self._head_hash = row.hash
        readings = self._questions.look(self._engine, self._now_ns())
        self._modes.begin_commit()
        flight = Flight(row, record, sealed, self._answers, readings)
        flight.append = asyncio.create_task(self._append(flight), name="append")
        self._flight = flight
        self._commands, self._answers, self._events, self._bytes = [], [], 0, 0

    async def _append(self, flight: Flight) -> None:
        started = time.monotonic()
        try:
            await self._journal.append(flight.row)
            flight.commit_s = time.monotonic() - started
            # Here and not in the loop: what is written leaves at the end of a turn, so answers leave before the next
            # batch is sealed.
            self._land(flight)
        finally:
            # By the time the loop wakes this has ended; a callback on the task would come a turn later.
            self._wake.set()

    def _land(self, flight: Flight) -> None:
        """Make a committed batch visible to who asked and to the view; the bus comes after the next append."""
        self._modes.end_commit()
        self._beaten = time.monotonic()
        # Answers leave first; nobody can ask for the view between them and it.
        for connection, request_id, outcome in flight.answers:
            connection.send_frame(encode_frame(Answer(request_id, outcome)))
        for connection in dict.fromkeys([answer[0] for answer in flight.answers]):
            connection.flush()
        for event in flight.sealed.system:
            if isinstance(event, EpochStarted):
                self._view.start_epoch(event.epoch)
            elif isinstance(event, InstrumentListed):
                self._view.open_book(event.instrument.symbol, flight.row.timestamp_ns)
        self._view.commit(flight.sealed.books, head_seq=flight.row.last_seq, timestamp_ns=flight.row.timestamp_ns)
        self._answer(flight.readings)

    def _publish(self, flight: Flight) -> None:
        """Give a committed batch to the bus and count it: nobody waits for either."""
        record = flight.record
        self._publisher.offer(BusEntry(record.first_seq, record.last_seq, encode(without_commands(record))))
        self._queue.committed(flight.commit_s)
        self._metrics.batch_committed(len(record.commands), len(flight.row.body), flight.commit_s)

    def _answer(self, readings: Readings) -> None:
        """Tell replicas what they asked, of a state that is committed."""
        for connection, standing in readings.standings:
            connection.send(standing)
        for request_id, connection in readings.status_requests:
            status = EngineStatus(
                self.shard,
                self.term,
                self.epoch,
                self.head_seq,
                readings.hashed.state_hash.hex(),
                readings.hashed.sequence,
                ENGINE_VERSION,
                self._build,
                self._modes.mode.value,
                len(self._queue),
            )
            connection.send(StatusAnswer(request_id, status))
