"""A journal replays to the same bytes and the same state: under any hash seed, from any checkpoint, twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from app.engine.engine import ENGINE_VERSION, Engine
from tests.replay import golden_journal
from tests.replay.journals import Replayed, Row, apply_row, random_restarts, record_journal, replay

ROOT = Path(__file__).parents[2]
JOURNALS = 50
COMMANDS = 1_000
HASH_SEEDS = ("0", "1", "4242")


@pytest.fixture(scope="module")
def journals() -> list[list[Row]]:
    return [record_journal(seed, COMMANDS) for seed in range(100, 100 + JOURNALS)]


@pytest.fixture(scope="module")
def expected(journals: list[list[Row]]) -> list[Replayed]:
    return [replay(rows) for rows in journals]


@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
def test_other_process_and_hash_seed_give_the_same_bytes(
    hash_seed: str, journals: list[list[Row]], expected: list[Replayed], tmp_path: Path
) -> None:
    path = tmp_path / "journals"
    path.write_bytes(msgspec.msgpack.encode(journals))
    result = subprocess.run(
        [sys.executable, "-m", "tests.replay.replayer", str(path), hash_seed],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
    )
    found = [Replayed(**entry) for entry in json.loads(result.stdout)]
    assert found == expected


@pytest.mark.parametrize("number", range(JOURNALS))
def test_restarts_from_random_checkpoints_change_nothing(
    number: int, journals: list[list[Row]], expected: list[Replayed]
) -> None:
    rows = journals[number]
    assert replay(rows, restart_after=random_restarts(rows, seed=number, count=8)) == expected[number]


def test_restart_after_every_single_row_changes_nothing(journals: list[list[Row]], expected: list[Replayed]) -> None:
    rows = journals[0][:200]
    assert replay(rows, restart_after=frozenset(range(len(rows)))).digests == expected[0].digests[: len(rows)]


def test_batch_is_the_unit_of_determinism(journals: list[list[Row]]) -> None:
    """The same commands in one batch give the same orders, but other book sequences."""
    by_row, at_once = Engine(), Engine()
    for row in journals[0]:
        apply_row(by_row, row)
    commands = [command for row in journals[0] for command in row.commands]
    apply_row(at_once, Row(journals[0][0].timestamp_ns, commands))
    assert orders(by_row) == orders(at_once)
    assert max(book.seq for book in at_once.state.books.values()) == 1
    assert max(book.seq for book in by_row.state.books.values()) > 1


def orders(engine: Engine) -> dict[int, tuple[str, int, int, int]]:
    """Return what became of each order, time left out."""
    return {
        number: (order.state.status, order.state.version, order.state.filled_quantity, order.state.fees)
        for number, order in engine.state.orders.items()
    }


def test_changing_one_command_changes_the_hash(journals: list[list[Row]], expected: list[Replayed]) -> None:
    rows = [*journals[0][:-1], Row(journals[0][-1].timestamp_ns, journals[0][-1].commands[:-1])]
    assert replay(rows).state_hash != expected[0].state_hash


def test_golden_journal_of_each_version_replays_to_its_stored_bytes_and_hash() -> None:
    stored = sorted(golden_journal.FOLDER.glob("v*.jsonl"))
    assert f"v{ENGINE_VERSION}.jsonl" in [path.name for path in stored]
    golden = golden_journal.read(ENGINE_VERSION)
    assert sum(len(row.commands) for row in golden.rows) >= 300
    assert replay(golden.rows) == golden.expected
