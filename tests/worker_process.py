"""The worker role as a real process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.database_roles import as_role
from tests.engine_process import role_environment


@contextmanager
def worker_process(
    database_url: str, redis_url: str, *, shard: int, **settings: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `python -m app worker` for the length of a block; killed at the end whatever happens."""
    environment = role_environment(
        as_role(database_url, "projector"), redis_url, ORDERWIRE_SHARD=str(shard), **settings
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
