"""Redis keys of the bus, and what all keys of a shard begin with.

One stream per shard and epoch: a new epoch starts with an empty stream, so ids of an abandoned
history can never stand in the way of the new one.
"""

BUS_PREFIX = "ow"


def shard_prefix(shard: int, *, prefix: str = BUS_PREFIX) -> str:
    """Return what keys of one shard begin with; `prefix` keeps tests and installations on one server apart."""
    return f"{prefix}:{shard}"


def stream_key(shard: int, epoch: int, *, prefix: str = BUS_PREFIX) -> str:
    """Return the stream's key."""
    return f"{shard_prefix(shard, prefix=prefix)}:{epoch}"
