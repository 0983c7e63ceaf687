"""The volume of the database is filled to the last byte under load: what was acknowledged is there when space returns.

Only in `make chaos`, because a volume of its own must be mounted.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev.servers import LocalServers
from tests.chaos.conftest import Exchange, migrated_database, rounds, trading
from tests.chaos.test_engine_faults import ANSWERS_BETWEEN, report
from tests.chaos.volume import Volume, small_volume

SILENCE_S = 1.0
"""Without any answer for so long, the disk is felt."""
FULL_S = 2.0
FELT_WAIT_S = 30.0
RECOVER_WAIT_S = 30.0
SPACE_MIN = 32 << 20
"""Free before a fill: else the journal, not the test, has filled the volume."""


@pytest.fixture
def volume() -> Iterator[Volume]:
    """A volume that may be filled."""
    with small_volume() as mounted:
        yield mounted


async def wait_for_silence(exchange: Exchange) -> None:
    """Wait until nothing has been answered for SILENCE_S."""
    async with asyncio.timeout(FELT_WAIT_S):
        count, since = -1, time.monotonic()
        while time.monotonic() - since < SILENCE_S:
            answered = len(exchange.load.answered)
            if answered != count:
                count, since = answered, time.monotonic()
            await asyncio.sleep(0.02)


async def serve_again(exchange: Exchange) -> None:
    """Wait for answers; a server that gave up on a full disk is started again meanwhile, as an operator would."""
    answers = asyncio.create_task(exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S))
    while not answers.done():
        exchange.cluster.servers.revive()
        await asyncio.wait([answers], timeout=0.1)
    await answers


async def test_a_full_disk_loses_nothing_that_was_acknowledged(volume: Volume, tmp_path: Path) -> None:
    outages = []
    with LocalServers(volume.path / "servers") as servers:
        async with trading(servers, await migrated_database(servers), tmp_path) as exchange:
            for _ in range(rounds(2, 5)):
                await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
                assert volume.free_bytes() > SPACE_MIN, "expected a volume with room to begin with"
                volume.fill()
                assert volume.free_bytes() == 0
                await wait_for_silence(exchange)
                await asyncio.sleep(FULL_S)
                volume.empty()
                back = time.monotonic()
                await serve_again(exchange)
                first = exchange.load.first_answer_after(back)
                outages.append(first - back)
            judged = await exchange.judged()
    report("disk full, after space returned", judged, outages)
