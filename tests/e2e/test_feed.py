"""Recorded order flow through two replicas, and proof that the comparison can fail."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exchange import REPOSITORY, Exchange

SET = "lobster_aapl_first30k"
COMMANDS = 3_000
FILLS = 255
STATES = 2_996
TIMEOUT_S = 120


@pytest.fixture(scope="module")
def recordings() -> Path:
    """The folder of recorded market data."""
    folder = Path(os.environ.get("ORDERWIRE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / f"{SET}_commands.csv.gz").exists():
        if os.environ.get("ORDERWIRE_REQUIRE_DATA") == "1":
            pytest.fail(f"recorded data is required and missing: {folder}")
        pytest.skip(f"recorded data is not here: {folder}")
    return folder


def feed(exchange: Exchange, prefix: Path, *options: str, replica: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `orderwire feed` beside the exchange's key file."""
    command = [sys.executable, "-m", "app", "feed", str(prefix), "--rest", exchange.rest[replica], *options]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, cwd=exchange.folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def with_one_altered_fill(recordings: Path, folder: Path) -> Path:
    """Write a copy of the set in which one expected fill names another maker."""
    for part in ("seed", "commands", "bbo"):
        shutil.copy(recordings / f"{SET}_{part}.csv.gz", folder / f"altered_{part}.csv.gz")
    with gzip.open(recordings / f"{SET}_fills.csv.gz", "rt") as source:
        lines = source.read().splitlines()
    command, taker, maker, price, quantity = lines[4].split(",")
    lines[4] = ",".join((command, taker, str(int(maker) + 1), price, quantity))
    with gzip.open(folder / "altered_fills.csv.gz", "wt") as target:
        target.write("\n".join(lines) + "\n")
    return folder / "altered"


def test_every_fill_and_best_price_of_the_recording_comes_out(exchange: Exchange, recordings: Path) -> None:
    done = feed(exchange, recordings / SET, "--limit", str(COMMANDS), "--json", replica=1)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    assert (summary["fills_exact"], summary["fills_expected"], summary["fills_unexpected"]) == (FILLS, FILLS, 0)
    assert (summary["best_exact"], summary["best_expected"]) == (STATES, STATES)
    assert (summary["unknown_orders"], summary["agrees"], summary["first_difference"]) == (0, True, None)


def test_one_altered_fill_is_found_and_explained(exchange: Exchange, recordings: Path, tmp_path: Path) -> None:
    altered = feed(exchange, with_one_altered_fill(recordings, tmp_path), "--limit", str(COMMANDS), "--json")
    assert altered.returncode == 1
    summary = json.loads(altered.stdout)
    assert (summary["fills_exact"], summary["fills_expected"]) == (FILLS - 1, FILLS)
    assert (summary["best_exact"], summary["best_expected"]) == (STATES, STATES)
    assert "expected maker" in summary["first_difference"]


def test_a_missing_set_is_exit_code_two_and_named(exchange: Exchange, tmp_path: Path) -> None:
    done = feed(exchange, tmp_path / "none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "none_seed.csv.gz: there is no such file" in done.stderr
