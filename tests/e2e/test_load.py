"""`orderwire load` against a running exchange: what it says it did is what the exchange has."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.dev.client import RestClient
from app.domain.commands import SetKillSwitch
from app.domain.enums import KillSwitchScope
from app.storage.database import asyncpg_dsn
from tests.engine_process import EngineProcess, linked, role_environment
from tests.exchange import REPOSITORY, Exchange

TIMEOUT_S = 60
SHARDS = {"journal": 41, "refusals": 42}
"""One for each test: their streams share a server."""


def run(folder: Path, *options: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `orderwire load` in a folder."""
    command = [sys.executable, "-m", "app", "load", *options]
    given = {"PATH": os.environ["PATH"]} if environment is None else environment
    return subprocess.run(
        command,
        cwd=folder,
        env=given | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def figures(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return the JSON of a run that went well."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["sent"] == found["acknowledged"] + sum(found["refused"].values()) + found["lost"]
    assert found["scheduled"] == found["sent"] + found["unsent"]
    return found


async def head(exchange: Exchange) -> int:
    """Return the engine's sequence."""
    async with RestClient(exchange.rest[0], exchange.accounts["admin"]) as rest:
        return int((await rest.call("GET", "/v1/status"))["as_of_seq"])


@pytest.mark.parametrize("via", ["stream", "rest"])
def test_every_acknowledged_request_is_a_command_of_the_exchange(exchange: Exchange, via: str) -> None:
    before = asyncio.run(head(exchange))
    options = ("--via", via, "--rate", "150", "--seconds", "2", "--seed", "5", "--connections", "3", "--json")
    found = figures(run(exchange.folder, *options))
    assert (found["via"], found["seed"], found["connections"]) == (via, 5, 3)
    # With one request under way a connection, what is due in the last milliseconds may find none free: never sent.
    assert (found["acknowledged"], found["refused"], found["lost"]) == (found["sent"], {}, 0)
    assert found["sent"] > 200
    latency = found["latency_ms"]
    assert latency["count"] == found["scheduled"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
    # Two assets, an instrument, four accounts with two deposits each, two quotes; and a Tick now and then.
    setup = 3 + 4 * 3 + 2
    assert asyncio.run(head(exchange)) - before >= found["acknowledged"] + setup - 2


def test_a_reader_gets_the_same_in_words(exchange: Exchange) -> None:
    done = run(exchange.folder, "--rate", "100", "--seconds", "0.5", "--arrivals", "constant")
    assert done.returncode == 0, done.stderr
    assert "scheduled 50, sent 50, never sent 0" in done.stdout
    assert "acknowledged 50" in done.stdout
    assert "latency from the intended moment, ms: p50 " in done.stdout


async def test_the_link_takes_the_load_and_the_journal_has_every_acknowledged_order(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    shard = SHARDS["journal"]
    environment = role_environment(database_url, redis_url, ORDERWIRE_SHARD=str(shard))
    options = ("--via", "link", "--rate", "400", "--seconds", "2", "--connections", "2", "--json")
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard):
            found = figures(await asyncio.to_thread(run, tmp_path, *options, environment=environment))
    assert found["acknowledged"] == found["scheduled"] > 600
    connection = await asyncpg.connect(asyncpg_dsn(database_url))
    try:
        last = await connection.fetchval("SELECT max(last_seq) FROM journal WHERE shard = $1", shard)
    finally:
        await connection.close()
    assert last >= found["acknowledged"] + 3 + 3 * 3 + 2


async def test_refusals_in_the_middle_of_a_run_are_counted_by_their_code(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    shard = SHARDS["refusals"]
    environment = role_environment(database_url, redis_url, ORDERWIRE_SHARD=str(shard))
    options = ("--via", "link", "--rate", "100", "--seconds", "4", "--connections", "1", "--json")
    with EngineProcess(database_url, redis_url, shard=shard):
        async with linked(database_url, shard=shard) as link:
            running = asyncio.create_task(asyncio.to_thread(run, tmp_path, *options, environment=environment))
            async with asyncio.timeout(TIMEOUT_S):
                while (await link.status()).engine_seq < 100:  # noqa: ASYNC110  # polls the engine
                    await asyncio.sleep(0.02)
            await link.submit(SetKillSwitch(KillSwitchScope.EXCHANGE, None, True))
            found = figures(await running)
    assert found["acknowledged"] > 50
    assert set(found["refused"]) == {"kill_switch"}
    assert found["lost"] == 0


def test_without_an_exchange_it_says_what_is_missing(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert (
        done.stderr == "orderwire: .orderwire/dev.json: there is no such file; start `orderwire dev` in this folder\n"
    )


def test_without_a_leader_it_says_so(database_url: str, redis_url: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--via", "link", environment=role_environment(database_url, redis_url))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "orderwire: no engine leads shard 0, or LINK_SECRET is not its\n"


def test_a_replica_that_is_not_there_is_one_line(exchange: Exchange) -> None:
    done = run(exchange.folder, "--rest", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "127.0.0.1" in done.stderr or "connect" in done.stderr.lower()


@pytest.mark.parametrize("option", [("--rate", "0"), ("--seconds", "-1"), ("--in-flight", "0"), ("--via", "pigeon")])
def test_options_out_of_bounds_are_wrong_usage(tmp_path: Path, option: tuple[str, str]) -> None:
    done = run(tmp_path, *option)
    assert done.returncode == 2
    assert option[0] in done.stderr
