"""The engine and an independent reference model agree on everything, over random command streams.

Compared after every command: each event with all its fields, the answer, each balance, each book's top. After every
batch: what is published, and the invariants. A difference is shrunk and printed with its seed; ORDERWIRE_SEEDS
asks for more streams than the usual ones.
"""

import ast
import os
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from app.domain.enums import SelfTradePrevention
from tests.property.duel import Run, run_seed
from tests.property.rare_states import EXPECTED
from tests.property.shrinking import explain, shrunk

SEEDS = range(int(os.environ.get("ORDERWIRE_SEEDS", "200")))
COMMANDS = 500


PROMISED = {
    "partial fill, then amend, then cancel",
    "iceberg refill under a sweep",
    "stop cascade",
    "oco peer was about to fire",
    *(f"prevented: {mode}" for mode in SelfTradePrevention),
    "fok at exact size",
    "uncross leaves buys",
    "uncross leaves sells",
    "halt in mid-sweep",
    "gtd expiry and fill in one batch",
    "atomic batch refused by its last order",
}
"""Rare states without which the proof would mean little, whatever features the streams have."""


@cache
def run_of(seed: int) -> Run:
    return run_seed(seed, COMMANDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_engine_and_model_agree(seed: int) -> None:
    run = run_of(seed)
    if run.disagreement is not None:
        pytest.fail(explain(run))
    assert len(run.steps) >= COMMANDS


def test_promised_rare_states_are_among_those_that_must_be_reached() -> None:
    assert PROMISED <= EXPECTED


def test_streams_reached_every_rare_state() -> None:
    counts: Counter[str] = Counter()
    for seed in SEEDS:
        counts.update(run_of(seed).rare.counts)
    assert {state for state in EXPECTED if not counts[state]} == set(), f"of {sum(counts.values())} observations"


def test_equal_seeds_give_equal_streams() -> None:
    assert run_seed(3, 200).steps == run_seed(3, 200).steps


def test_model_shares_no_code_with_the_engine() -> None:
    for module in Path(__file__).parent.glob("reference_*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("app.engine"), module.name
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("app.engine") for alias in node.names), module.name


def test_shrinking_leaves_only_what_the_failure_needs() -> None:
    assert shrunk(range(800), lambda kept: {17, 90, 91} <= set(kept)) == [17, 90, 91]
