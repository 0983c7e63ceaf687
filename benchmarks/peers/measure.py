"""Our engine beside open peers: the same generated flow, one after the other in each round.

The peers match only; ours checks risk, keeps a ledger and states events in the same pass, so the bare book
(ours without all that) is the like-for-like row. Every run must trade what the flow's generator traded.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import engine
from benchmarks.bare_book import BareBook
from benchmarks.figures import Spread, table
from benchmarks.peers.packages import NODE_PACKAGE, node_peers, python_peers
from benchmarks.peers.python_driver import PEERS
from benchmarks.workloads import DEEP_SEED, batches, deep, deep_flow

ROUNDS = 5
NODE_PASSES = 3
DRIVERS = Path(__file__).parent
TIMEOUT_S = 120
OURS, OURS_BARE = "orderwire engine", "orderwire bare book"


def measure(*, rounds: int = ROUNDS, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return rates per CPU-second and our ratios. Raises MissingWorkload and PeersMissing."""
    python, modules = python_peers(), node_peers()
    workload = deep()
    plain = batches(workload.commands)
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="orderwire-bench-") as folder:
        flow = deep_flow(Path(folder))
        expected = json.loads(Path(f"{flow}.json").read_text())
        commands: dict[str, list[str]] = {
            name: [str(python), str(DRIVERS / "python_driver.py"), name, str(flow)] for name in PEERS
        }
        node = shutil.which("node")
        if modules is not None and node is not None:
            script = str(DRIVERS / "node_driver.js")
            commands[NODE_PACKAGE.partition("@")[0]] = [node, script, str(modules), str(flow), str(NODE_PASSES)]
        for number in range(rounds):
            progress(f"peers: round {number + 1} of {rounds}")
            found = {
                OURS: len(workload.commands) / engine.engine_run(workload, plain).seconds,
                OURS_BARE: len(workload.steps) / engine.bare_seconds(workload, BareBook()),
            }
            for name, command in commands.items():
                found[name] = _peer(name, command, expected)
            for name, rate in found.items():
                rates.setdefault(name, []).append(rate)
    return {
        "rounds": rounds,
        "seed": DEEP_SEED,
        "per_cpu_second": {name: Spread.of(values) for name, values in rates.items()},
        "engine_ratio": {name: _ratio(rates[OURS], values) for name, values in rates.items()},
        "bare_book_ratio": {name: _ratio(rates[OURS_BARE], values) for name, values in rates.items()},
    }


def report(figures: dict[str, Any]) -> str:
    """Return the table of `measure`."""
    rows = [
        (
            name,
            Spread(*spread).text(),
            f"{figures['engine_ratio'][name]:.2f}",
            f"{figures['bare_book_ratio'][name]:.2f}",
        )
        for name, spread in figures["per_cpu_second"].items()
    ]
    head = ("deep flow", "commands per CPU-second", "our engine is x times it", "our bare book is x times it")
    return table("Peers", head, rows)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return Spread.of([mine / other for mine, other in zip(ours, theirs, strict=True)]).median


def _peer(name: str, command: list[str], expected: dict[str, int]) -> float:
    result = subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)  # noqa: S603  # our drivers
    facts = json.loads(result.stdout)
    if facts["traded_quantity"] != expected["traded_qty"]:
        raise AssertionError(f"{name}: expected {expected['traded_qty']} traded, was {facts['traded_quantity']}")
    return float(facts["per_cpu_second"])
