"""Ten times what the engine can take: it does as much as ever, cancels pass, and nothing grows."""

import asyncio
import json
import random
import sys
from dataclasses import asdict
from pathlib import Path

from app.dev.servers import LocalServers
from app.link.client import PENDING_MAX
from app.protocol.records import BATCH_COMMANDS_MAX
from app.sequencer.queue import QUEUE_COMMANDS_MIN
from tests.chaos.conftest import FULL
from tests.chaos.load import open_market
from tests.chaos.overload import Plan, Seen
from tests.chaos.test_engine_faults import percentile
from tests.engine_process import EngineProcess, linked
from tests.exchange import REPOSITORY
from tests.integration.storage.proxy import Proxy, proxy_before

REPLICAS = 2
TIMES = 10
LOAD_LEAST = 8 if FULL else 3
"""What the load must have come to: on a busy machine the load itself falls behind its schedule."""
COMMIT_S = 0.05
SECONDS = 20.0 if FULL else 3.0
GOODPUT_SHARE = 0.8 if FULL else 0.3
"""Of the capacity; load and engine share the processors, and a refusal costs the load something as well."""
QUEUED_MAX = QUEUE_COMMANDS_MIN + 2 * BATCH_COMMANDS_MAX
"""Commands before the newest one, when commits are this slow: in the queue, in the open batch and in the commit."""
WAIT_SLACK = 1.5 if FULL else 15.0
GROWTH_BYTES_MAX = 128 << 20
COMMAND_BYTES = 2_000
"""What an engine may remember of a command that it took."""
PENDING_SLACK = 64


def memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


async def offered(plans: list[Plan]) -> list[Seen]:
    """Let one process offer each plan at the same time."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.overload",
            json.dumps(asdict(plan)),
            cwd=REPOSITORY,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for plan in plans
    ]
    said = await asyncio.gather(*(process.communicate() for process in processes))
    assert not any(process.returncode for process in processes), said
    return [Seen(**json.loads(out)) for out, _ in said]


async def test_at_ten_times_capacity_goodput_stays_cancels_pass_and_memory_is_bounded(
    own_servers: LocalServers, empty_database: str
) -> None:
    shard = random.randrange(1_000, 2**15)
    async with proxy_before(empty_database) as (proxy, through):
        with EngineProcess(through, own_servers.redis_url, shard=shard) as engine:
            await flood(engine, proxy, empty_database, shard)


async def flood(engine: EngineProcess, proxy: Proxy, empty_database: str, shard: int) -> None:
    async with linked(empty_database, shard=shard) as link:
        accounts = await open_market(link, REPLICAS)
    # Commits that take so long bound the capacity on any machine, and leave it processor for the load.
    proxy.delay_s = COMMIT_S
    plans = [Plan(empty_database, shard, account_id, 0.0, SECONDS) for account_id in accounts]
    usual = await offered(plans)
    capacity = sum(seen.answered / seen.seconds for seen in usual)
    assert engine.process is not None
    before = memory(engine.process.pid)
    rate = capacity * TIMES / REPLICAS
    flooded = await offered([Plan(empty_database, shard, account_id, rate, SECONDS) for account_id in accounts])
    growth = memory(engine.process.pid) - before
    goodput = sum(seen.answered / seen.seconds for seen in flooded)
    waits = [wait for seen in flooded for wait in seen.waits]
    cancel_waits = [wait for seen in flooded for wait in seen.cancel_waits]
    load = sum(seen.offered / seen.seconds for seen in flooded)
    print(
        f"\ncapacity {capacity:,.0f}/s, offered {load:,.0f}/s, goodput {goodput:,.0f}/s; "
        f"orders p50 {percentile(waits, 50):.3f} s p99 {percentile(waits, 99):.3f} s, "
        f"cancels p50 {percentile(cancel_waits, 50):.3f} s p99 {percentile(cancel_waits, 99):.3f} s; "
        f"engine grew {growth / 1e6:.1f} MB; refused {[dict(seen.refused) for seen in flooded]}; "
        f"pending {[seen.pending_max for seen in flooded]}"
    )
    assert load > capacity * LOAD_LEAST, "the load was no overload"
    assert goodput >= capacity * GOODPUT_SHARE
    # A machine busy with other work may let an order wait beyond its deadline.
    codes = {"engine_unavailable"} if FULL else {"engine_unavailable", "execution_unknown"}
    assert all("engine_unavailable" in seen.refused and set(seen.refused) <= codes for seen in flooded)
    assert sum(seen.cancels for seen in flooded) >= SECONDS * 10
    assert [seen.cancels_refused for seen in flooded] == [{}] * REPLICAS
    wait_max = QUEUED_MAX / capacity * WAIT_SLACK
    assert percentile(waits, 99) <= wait_max
    assert percentile(cancel_waits, 99) <= wait_max
    assert growth < GROWTH_BYTES_MAX + sum(seen.answered for seen in flooded) * COMMAND_BYTES
    assert max(seen.pending_max for seen in flooded) <= PENDING_MAX + PENDING_SLACK
