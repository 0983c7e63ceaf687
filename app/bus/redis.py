"""The bus on Redis 7+ or Valkey 8+: one stream, entry id `last_seq-0`, fields f=first_seq and b=body.

The journal position is the id, so the server itself refuses a second copy, whoever sends it, and
a lost answer is resolved by sending again. Commands and blocking reads have a client each: an
abandoned blocking read must never stand before a publish. Any fault is `BusUnavailable`.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from app.errors import BusUnavailable
from app.protocol.ports import BusEntry

COMMAND_TIMEOUT_S = 1.0
BLOCK_MS_MAX = 1_000
"""Longest wait of a read; the socket of the reading client times out only after it."""
READ_TIMEOUT_MARGIN_S = 0.5
PIPELINE_ENTRIES_MAX = 256
PIPELINE_BYTES_MAX = 4 << 20
"""A pipeline is sent when it reaches either bound: it is held in memory on both sides."""

_FIRST_SEQ = b"f"
_BODY = b"b"
_ALREADY_THERE = "equal or smaller"
_NO_STREAM = "no such key"


def _client(url: str, timeout_s: float) -> Redis:
    # redis-py repeats a timed-out command by itself unless told otherwise, and RESP2 keeps the
    # shape of an answer the same on every server version.
    client = Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        socket_connect_timeout=COMMAND_TIMEOUT_S,
    )
    # The library turns every entry into dictionaries; the raw pairs cost a third of that.
    client.set_response_callback("XREAD", _as_it_came)
    return client


def _as_it_came(response: Any, **_: Any) -> Any:
    return response


class RedisBus:
    """Implements `ports.Bus` for one stream. Connects when first used."""

    def __init__(self, url: str, key: str) -> None:
        self._key = key
        self._commands = _client(url, COMMAND_TIMEOUT_S)
        self._reads = _client(url, BLOCK_MS_MAX / 1000 + READ_TIMEOUT_MARGIN_S)
        # The library leaves these two without types.
        self._execute: Callable[..., Awaitable[Any]] = self._commands.execute_command
        self._execute_read: Callable[..., Awaitable[Any]] = self._reads.execute_command

    async def publish(self, entries: Sequence[BusEntry]) -> None:
        """Append entries under their own ids; one that is there already counts as published."""
        for group in _groups(entries):
            pipeline = self._commands.pipeline(transaction=False)
            for entry in group:
                pipeline.execute_command(
                    "XADD", self._key, f"{entry.last_seq}-0", _FIRST_SEQ, entry.first_seq, _BODY, entry.body
                )
            for answer in await _answered(pipeline.execute(raise_on_error=False)):
                if isinstance(answer, Exception) and _ALREADY_THERE not in str(answer):
                    raise BusUnavailable(f"expected the entry to be added, was refused: {answer}") from answer

    async def last_seq(self) -> int:
        """Return the highest sequence ever published, 0 if none."""
        try:
            info = await _answered(self._execute("XINFO STREAM", self._key))
        except BusUnavailable as fault:
            if isinstance(fault.__cause__, ResponseError) and _NO_STREAM in str(fault):
                return 0
            raise
        return _sequence(info["last-generated-id"])

    async def read(self, after: int, *, limit: int, block_ms: int) -> list[BusEntry]:
        """Return entries after a sequence, oldest first, waiting up to block_ms for the first.

        Waits at most BLOCK_MS_MAX.
        """
        # BLOCK 0 would wait for ever.
        block = ("BLOCK", min(block_ms, BLOCK_MS_MAX)) if block_ms > 0 else ()
        command = ("XREAD", "COUNT", limit, *block, "STREAMS", self._key, f"{after}-0")
        streams = await _answered(self._execute_read(*command))
        return [_entry(entry_id, pairs) for entry_id, pairs in streams[0][1]] if streams else []

    async def trim(self, min_seq: int) -> None:
        """Forget entries below a sequence."""
        await _answered(self._execute("XTRIM", self._key, "MINID", f"{min_seq}-0"))

    async def close(self) -> None:
        """Close both clients; a blocked read fails."""
        for client in (self._commands, self._reads):
            try:
                await client.aclose()
            except (RedisError, OSError) as fault:
                raise BusUnavailable(f"the connection did not close: {fault}") from fault


async def _answered(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (RedisError, OSError, TimeoutError) as fault:
        raise BusUnavailable(f"Redis did not answer as expected: {fault}") from fault


def _groups(entries: Iterable[BusEntry]) -> Iterator[list[BusEntry]]:
    group: list[BusEntry] = []
    size = 0
    for entry in entries:
        group.append(entry)
        size += len(entry.body)
        if len(group) >= PIPELINE_ENTRIES_MAX or size >= PIPELINE_BYTES_MAX:
            yield group
            group, size = [], 0
    if group:
        yield group


def _sequence(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


def _entry(entry_id: bytes, pairs: list[bytes]) -> BusEntry:
    fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
    try:
        return BusEntry(int(fields[_FIRST_SEQ]), _sequence(entry_id), fields[_BODY])
    except (KeyError, ValueError) as fault:
        raise BusUnavailable(f"expected fields f and b in entry {entry_id!r}") from fault
