"""Each stage of an order's way is counted by the process it passes through: real roles, real orders."""

import asyncio
import random
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.load import SYMBOL, open_market
from tests.engine_process import EngineProcess, linked
from tests.exchange import free_ports
from tests.replica_process import ReplicaProcess
from tests.worker_process import worker_process

ORDERS, CANCELS = 20, 5
PATIENCE_S = 20.0


def samples(port: int) -> dict[str, float]:
    """Return all samples of a role's metrics by name and stage."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return parsed(answer.read().decode())


def parsed(text: str) -> dict[str, float]:
    return {
        f"{sample.name}:{sample.labels['stage']}" if "stage" in sample.labels else sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    }


async def test_every_stage_counts_the_orders_that_pass_through_it(database_url: str, redis_url: str) -> None:
    shard = random.randrange(1_000, 2**15)
    engine_port = free_ports(2)
    worker_port = engine_port + 1
    with (
        EngineProcess(database_url, redis_url, shard=shard, ORDERWIRE_METRICS_PORT=str(engine_port)),
        worker_process(database_url, redis_url, shard=shard, ORDERWIRE_METRICS_PORT=str(worker_port)),
    ):
        async with (
            linked(database_url, shard=shard) as link,
            ReplicaProcess(database_url, redis_url, shard=shard) as replica,
        ):
            (account_id,) = await open_market(link, 1)
            await replica.wait_for_mode("normal", timeout_s=PATIENCE_S)
            before = samples(engine_port)
            engine_seq = 0
            for number in range(ORDERS):
                body = {"symbol": SYMBOL, "side": "buy", "type": "limit", "price": "1.00", "quantity": "1"}
                placed = await replica.call("POST", "/v1/orders", body, account_id=account_id)
                assert placed.status_code == 201, placed.text
                if number < CANCELS:
                    path = f"/v1/orders/{placed.json()['order_id']}"
                    placed = await replica.call("DELETE", path, account_id=account_id)
                engine_seq = placed.json()["engine_seq"]
            commands = ORDERS + CANCELS
            shown = parsed((await replica.http.get("/metrics")).text)
            for stage in ("gateway", "link"):
                assert shown[f"orderwire_stage_seconds_count:{stage}"] == commands
            times = [shown[f"orderwire_stage_seconds_sum:{stage}"] for stage in ("gateway", "link")]
            assert times[0] > times[1] > 0
            after = samples(engine_port)
            for stage in ("queue", "apply", "commit"):
                assert after[f"orderwire_stage_seconds_count:{stage}"] == engine_seq, stage
                assert after[f"orderwire_stage_seconds_sum:{stage}"] > 0
            assert after["orderwire_batch_commands_sum"] == engine_seq
            assert after["orderwire_batch_bytes_count"] == after["orderwire_batch_commands_count"]
            await counted(engine_port, "publish", before["orderwire_stage_seconds_count:publish"] + commands)
            assert await counted(worker_port, "project", engine_seq) == engine_seq


async def counted(port: int, stage: str, commands: float) -> float:
    """Wait until a stage that nobody waits for has counted at least so many; returns how many."""
    name = f"orderwire_stage_seconds_count:{stage}"
    async with asyncio.timeout(PATIENCE_S):
        while (found := samples(port)[name]) < commands:  # noqa: ASYNC110  # polls a server
            await asyncio.sleep(0.05)
    return found
