"""Connections to PostgreSQL are cut before or after a statement arrived: its outcome is found out, never guessed."""

import random
from pathlib import Path

from app.dev.servers import LocalServers
from tests.chaos.conftest import SEED, rounds, trading
from tests.chaos.test_engine_faults import RECOVER_WAIT_S
from tests.integration.storage.proxy import Fault, proxy_before

ANSWERS_BETWEEN = 15
CUTS = (Fault.CUT_BEFORE, Fault.CUT_AFTER)


async def test_cut_connections_lose_and_double_nothing(
    own_servers: LocalServers, empty_database: str, tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    wanted = rounds(30, 200)
    async with (
        proxy_before(empty_database) as (proxy, through),
        trading(own_servers, empty_database, tmp_path, engines_database_url=through) as exchange,
    ):
        for _ in range(wanted):
            await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
            proxy.faulted.clear()
            proxy.arm(rng.choice(CUTS))
            await proxy.faulted.wait()
        await exchange.load.wait_for_answers(ANSWERS_BETWEEN, RECOVER_WAIT_S)
        judged = await exchange.judged()
        assert proxy.faults == wanted
        assert judged.orders >= wanted * ANSWERS_BETWEEN
        print(f"\n{wanted} cuts: {judged}")
