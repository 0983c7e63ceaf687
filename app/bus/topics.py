"""Redis keys of the bus, and how much of it is kept.

One stream per shard and epoch: a new epoch starts with an empty stream, so ids of an abandoned
history can never stand in the way of the new one.
"""

BUS_PREFIX = "ow"
RETAINED_COMMANDS = 200_000
"""A replica that is further behind than this heals from the journal; the stream need not reach back further."""


def stream_key(shard: int, epoch: int, *, prefix: str = BUS_PREFIX) -> str:
    """Return the stream's key; `prefix` keeps tests and installations on one server apart."""
    return f"{prefix}:{shard}:{epoch}"


def trim_point(head_seq: int) -> int:
    """Return the sequence below which the stream may forget."""
    return max(0, head_seq - RETAINED_COMMANDS)
