"""A closed loop over one connection: so many requests under way, and how long each took.

What it shows is the path's capacity; for how long orders wait at a given rate there is `orderwire load`.
"""

import asyncio
import time
from collections.abc import Callable

from app.load.wire import ANSWER_TIMEOUT_S, Refused, Wire


class Load:
    """Keeps a number of requests under way on a connection of its own and notes how long each took."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        wire.on_answer, wire.on_lost = self._answered, self._fail
        wire.on_refusal = lambda _, answer: self._fail(Refused(answer.decode()))
        self._sent_ns: list[int] = []
        self._next = 0
        self._requests: list[Callable[[], bytes]] = []
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies_ns: list[int] = []
        self.last_answer = b""

    def close(self) -> None:
        """Close the connection; nothing may be under way."""
        if not self._done.done():
            self._done.cancel()
        self._wire.close()

    async def run(self, requests: list[Callable[[], bytes]], *, in_flight: int) -> None:
        """Send all requests, so many at a time, and return when all are answered. Raises Refused at the first other."""
        self._requests, self._next = requests, 0
        self._sent_ns, self.latencies_ns = [], []
        self._done = asyncio.get_running_loop().create_future()
        for _ in range(min(in_flight, len(requests))):
            self._send_next()
        await asyncio.wait_for(self._done, ANSWER_TIMEOUT_S)

    def _answered(self, number: int, answer: bytes) -> None:
        self.latencies_ns.append(time.perf_counter_ns() - self._sent_ns[number])
        self.last_answer = answer
        if self._next < len(self._requests):
            self._send_next()
        elif len(self.latencies_ns) == len(self._requests) and not self._done.done():
            self._done.set_result(None)

    def _send_next(self) -> None:
        request = self._requests[self._next]()
        self._next += 1
        self._sent_ns.append(time.perf_counter_ns())
        self._wire.write(request)

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)
