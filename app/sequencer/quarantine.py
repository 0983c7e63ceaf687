"""A leader that no single command can stop again and again: suspects run alone, and are refused after CRASHES_MAX.

A command is a suspect when it was sent before on a link that was lost, or when a leader ended with it. First
suspects are written down together and run as usual; one that was not survived is written down with its
crash counted before it runs, alone in its batch. An exception names its command at once. What was
committed is forgotten. Commands without suspicion pay nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import msgspec
import structlog

from app.domain.commands import Command, Deposit, PlaceOrder, Transfer, Withdraw
from app.errors import Fenced, JournalDamaged, JournalUnavailable
from app.link.frames import BUSY_RETRY_MS, Reply, Submit
from app.link.server import Connection, refusal
from app.protocol.records import decode_command, encode
from app.sequencer.queue import QUEUE_COMMANDS_MAX
from app.sequencer.sequencer import Sequencer
from app.storage.quarantine import QuarantineStore, Suspect
from app.tasks import end_all

CRASHES_MAX = 2
"""Engines that a command may cost while it runs alone, or is named by an exception; then it is refused."""
FINGERPRINT_BYTES = 16
RECORD_TIMEOUT_S = 5.0
"""How long an engine that is ending tries to write down why."""
IDLE_POLL_S = 0.001
SUSPECTS_WATCHED_S = 60.0
"""A new leader looks out for the suspects of those before for so long: links resend within seconds."""

log = structlog.get_logger(__name__)


class Held(NamedTuple):
    """A command that waits for its turn."""

    request: Submit
    connection: Connection
    fingerprint: bytes
    deadline: float


class EngineCrashed(Exception):
    """The engine raised while it applied a command: its state is void, the process must end and replay."""


class GuardedSequencer(Sequencer):
    """The leader of one shard, with a quarantine before its queue."""

    def __init__(self, *, store: QuarantineStore, crashes: dict[bytes, int], **parts: Any) -> None:
        super().__init__(**parts)
        self._store = store
        self._crashes = crashes
        """Of the suspects of leaders before, by fingerprint."""
        self._held: deque[Held] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._clearing: set[asyncio.Task[None]] = set()
        self._alone: Held | None = None

    def submit(self, request: Submit, connection: Connection) -> None:
        """Queue a command, behind the suspects that came before it."""
        if request.attempt == 1 and not self._crashes and not self._held and self._alone is None:
            super().submit(request, connection)
            return
        try:
            fingerprint = fingerprint_of(decode_command(request.command), request.command)
        except msgspec.DecodeError:
            super().submit(request, connection)
            return
        if self._crashes.get(fingerprint, 0) >= CRASHES_MAX:
            connection.send(refusal(request, "quarantined", "the command stopped an engine more than once"))
        elif len(self._held) >= QUEUE_COMMANDS_MAX:
            connection.send(refusal(request, "engine_unavailable", "the engine's queue is full", BUSY_RETRY_MS))
        elif request.attempt == 1 and not self._held and self._alone is None and fingerprint not in self._crashes:
            super().submit(request, connection)
        else:
            deadline = time.monotonic() + request.deadline_ms / 1000
            self._held.append(Held(request, connection, fingerprint, deadline))
            if self._worker is None or self._worker.done():
                self._worker = asyncio.create_task(self._work(), name="quarantine")
                self._worker.add_done_callback(self._end_with_worker)

    def execute(self, command: Command) -> None:
        """Queue a command of our own, unless it is quarantined: every leader would come to it again."""
        data = encode(command)
        if self._crashes.get(fingerprint_of(command, data), 0) >= CRASHES_MAX:
            log.error("own_command_quarantined", command=data.hex())
            return
        super().execute(command)

    async def run(self) -> None:
        """Lead until stopped. Raises EngineCrashed too: then the command that did it is written down."""
        forgetting = asyncio.get_running_loop().call_later(SUSPECTS_WATCHED_S, self._forget_suspects)
        try:
            await super().run()
            if self._worker is not None and self._worker.done():
                self._worker.result()
        except (Fenced, JournalUnavailable, JournalDamaged):
            raise
        except Exception as fault:
            await self._record(fault)
            raise EngineCrashed(f"{type(fault).__name__}: {fault}") from fault
        finally:
            forgetting.cancel()
            await end_all([*self._clearing, *([] if self._worker is None else [self._worker])])

    def _forget_suspects(self) -> None:
        """Look out for what is quarantined only: as long as there is a suspect, every command is compared."""
        waiting = {held.fingerprint for held in self._held} | ({self._alone.fingerprint} if self._alone else set())
        self._crashes = {
            fingerprint: crashes
            for fingerprint, crashes in self._crashes.items()
            if crashes >= CRASHES_MAX or fingerprint in waiting
        }

    def _end_with_worker(self, worker: "asyncio.Task[None]") -> None:
        if not worker.cancelled() and worker.exception() is not None:
            self.stop()

    async def _work(self) -> None:
        """Let what is held through, in its order."""
        while self._held:
            first = self._held[0]
            if first.fingerprint in self._crashes:
                await self._run_alone(first)
            elif first.request.attempt == 1:
                self._release(self._held.popleft())
            else:
                await self._run_together()

    async def _run_together(self) -> None:
        """Write down the suspects at the head of the line, and run them as usual; a single one runs alone."""
        together: list[Held] = []
        for held in self._held:
            if held.request.attempt == 1 or held.fingerprint in self._crashes:
                break
            together.append(held)
        if len(together) == 1:
            self._crashes[together[0].fingerprint] = 0
            return
        await self._store.write([_suspect(held, 0, "sent again together with others") for held in together])
        answers = []
        for held in together:
            self._held.popleft()
            answers.append(asyncio.get_running_loop().create_future())
            self._release(held, answers[-1])
        clearing = asyncio.create_task(self._clear_after(answers, together))
        self._clearing.add(clearing)
        clearing.add_done_callback(self._clearing.discard)

    async def _clear_after(self, answers: "Sequence[asyncio.Future[None]]", together: Sequence[Held]) -> None:
        await asyncio.gather(*answers)
        await self._store.clear(held.fingerprint for held in together)

    async def _run_alone(self, held: Held) -> None:
        """Count the crash that a suspect may cause, run it in a batch of its own, and forget it after its commit."""
        crashes = self._crashes[held.fingerprint] + 1
        if crashes > CRASHES_MAX:
            self._held.popleft()
            held.connection.send(refusal(held.request, "quarantined", "the command stopped an engine more than once"))
            return
        await self._store.write([_suspect(held, crashes, "ran alone")])
        self._crashes[held.fingerprint] = crashes
        while self._queue or self._commands or self._flight is not None:  # noqa: ASYNC110  # three places, no event
            await asyncio.sleep(IDLE_POLL_S)
        self._alone = self._held.popleft()
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._release(held, answered)
        await answered
        self._alone = None
        await self._store.clear([held.fingerprint])
        self._crashes.pop(held.fingerprint, None)

    def _release(self, held: Held, answered: "asyncio.Future[None] | None" = None) -> None:
        """Hand a command on with the time it has left; `answered` is set with its answer, after the commit."""
        left_ms = int((held.deadline - time.monotonic()) * 1000)
        connection = held.connection
        if answered is not None:
            connection = cast(Connection, _Witness(connection, answered))
        if left_ms <= 0:
            connection.send(refusal(held.request, "deadline_exceeded", "the deadline passed before the engine's queue"))
            return
        super().submit(msgspec.structs.replace(held.request, deadline_ms=left_ms), connection)

    async def _record(self, fault: Exception) -> None:
        """Write down which command the engine ended with, or all of the open batch when that cannot be told."""
        reason = f"{type(fault).__name__}: {fault}"
        named = [self.applying] if self.applying is not None else self._commands
        suspects = []
        for data in named:
            fingerprint = fingerprint_of(decode_command(data), data)
            crashes = self._crashes.get(fingerprint, 0)
            if self.applying is not None and (self._alone is None or self._alone.fingerprint != fingerprint):
                crashes += 1
            suspects.append(Suspect(fingerprint, crashes, reason, data))
        log.critical("engine_crashed", reason=reason, suspects=len(suspects))
        if suspects:
            try:
                async with asyncio.timeout(RECORD_TIMEOUT_S):
                    await self._store.write(suspects)
            except Exception as error:
                log.error("suspects_not_written", reason=f"{type(error).__name__}: {error}")


class _Witness:
    """A connection that tells when the answer goes out."""

    def __init__(self, connection: Connection, answered: "asyncio.Future[None]") -> None:
        self._connection = connection
        self._answered = answered

    def send(self, reply: Reply) -> None:
        """Send a message."""
        self._connection.send(reply)
        self._tell()

    def send_frame(self, frame: bytes) -> None:
        """Send an encoded frame."""
        self._connection.send_frame(frame)
        self._tell()

    def flush(self) -> None:
        """Write what was sent."""
        self._connection.flush()

    def _tell(self) -> None:
        if not self._answered.done():
            self._answered.set_result(None)


def fingerprint_of(command: Command, data: bytes) -> bytes:
    """Return what identifies a command however it is sent again: its natural key, else its bytes."""
    if isinstance(command, PlaceOrder) and command.client_order_id is not None:
        data = encode(("place", command.account_id, command.client_order_id))
    elif isinstance(command, Deposit | Withdraw | Transfer):
        data = encode((command.__struct_config__.tag, command.account_id, command.transfer_id))
    return blake2b(data, digest_size=FINGERPRINT_BYTES).digest()


def _suspect(held: Held, crashes: int, reason: str) -> Suspect:
    return Suspect(held.fingerprint, crashes, reason, held.request.command)
