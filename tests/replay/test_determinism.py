"""A journal replays to the same bytes and the same state: under any hash seed, from any checkpoint, twice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from app.domain.commands import Command
from app.domain.events import Event
from app.engine.engine import ENGINE_VERSION, Engine
from app.protocol.records import decode_command
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
    by_row, at_once, began_ns = Engine(), Engine(), journals[0][0].timestamp_ns
    for row in journals[0]:
        apply_row(by_row, Row(began_ns, row.commands))
    commands = [command for row in journals[0] for command in row.commands]
    apply_row(at_once, Row(began_ns, commands))
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


# ---- golden journals -------------------------------------------------------------------------


@pytest.mark.parametrize("path", golden_journal.stored(ENGINE_VERSION), ids=lambda path: path.stem)
def test_golden_journal_of_this_version_replays_to_its_stored_bytes_and_hash(path: Path) -> None:
    golden = golden_journal.read(path)
    assert sum(len(row.commands) for row in golden.rows) >= golden_journal.COMMANDS
    assert replay(golden.rows) == golden.expected
    assert replay(golden.rows, restart_after=random_restarts(golden.rows, seed=1)) == golden.expected


def test_golden_journals_of_this_version_have_every_command_and_every_event() -> None:
    commands: set[type] = set()
    events: set[type] = set()
    for path in golden_journal.stored(ENGINE_VERSION):
        engine = Engine()
        for row in golden_journal.read(path).rows:
            engine.begin(row.timestamp_ns)
            for command in map(decode_command, row.commands):
                commands.add(type(command))
                events.update(type(event) for event in engine.apply(command))
            sealed = engine.seal()
            events.update(type(event) for _, stated in sealed.accounts for event in stated)
            events.update(type(book.auction) for book in sealed.books if book.auction is not None)
    assert commands == set(get_args(Command))
    assert events == set(get_args(Event))


def test_golden_journals_are_kept_for_every_version_and_their_commands_stay_readable() -> None:
    assert {path.name for path in golden_journal.FOLDER.iterdir()} == {f"v{n}" for n in range(1, ENGINE_VERSION + 1)}
    for version in range(1, ENGINE_VERSION + 1):
        assert golden_journal.stored(version)
        for path in golden_journal.stored(version):
            rows = golden_journal.read(path).rows
            commands = [decode_command(data) for row in rows for data in row.commands]
            assert len(commands) >= golden_journal.COMMANDS
