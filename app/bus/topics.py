"""Redis keys of the bus.

One stream per shard and epoch: a new epoch starts with an empty stream, so ids of an abandoned
history can never stand in the way of the new one.
"""

BUS_PREFIX = "ow"


def stream_key(shard: int, epoch: int, *, prefix: str = BUS_PREFIX) -> str:
    """Return the stream's key; `prefix` keeps tests and installations on one server apart."""
    return f"{prefix}:{shard}:{epoch}"
