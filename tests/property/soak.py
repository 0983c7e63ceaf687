"""The duel of engine and model at full size: `python -m tests.property.soak --commands 5000000`.

Streams are independent, so every core runs some. Ends with 1 at the first disagreement, which is shrunk and printed
with its seed, or if a rare state was never reached.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from typing import NamedTuple

from tests.property.duel import run_seed
from tests.property.rare_states import EXPECTED
from tests.property.shrinking import explain

COMMANDS = 5_000_000
SEED_COMMANDS = 800
FIRST_SEED = 1_000
"""Beyond the seeds of the usual suite."""
REPORT_EVERY_S = 30.0


class Finding(NamedTuple):
    """What one seed came to."""

    commands: int
    rare: Counter[str]
    explanation: str | None
    """Of a disagreement."""


def find(seed: int) -> Finding:
    """Duel over one seed."""
    run = run_seed(seed, SEED_COMMANDS)
    return Finding(len(run.steps), run.rare.counts, None if run.disagreement is None else explain(run))


def main() -> int:
    """Run all seeds; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.property.soak", description=__doc__)
    parser.add_argument("--commands", type=int, default=COMMANDS)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + -(-arguments.commands // SEED_COMMANDS))
    started = reported = time.monotonic()
    commands, rare = 0, Counter[str]()
    # Fresh processes: forked ones would share whatever this one has cached.
    with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
        for finding in pool.imap_unordered(find, seeds):
            commands += finding.commands
            rare.update(finding.rare)
            if finding.explanation is not None:
                print(finding.explanation)
                return 1
            if time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                print(f"{commands:,} commands, {commands / (reported - started):,.0f}/s", file=sys.stderr, flush=True)
    missed = sorted(state for state in EXPECTED if not rare[state])
    print(f"{commands:,} commands of {len(seeds):,} streams, no difference, {sum(rare.values()):,} rare states")
    for state, count in sorted(rare.items(), key=lambda entry: entry[1])[:20]:
        print(f"  {count:>10,}  {state}")
    if missed:
        print(f"never reached: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
