"""The garbage collector beside an engine."""

import gc
import subprocess
import sys

PROGRAM = """
import gc
from app.sequencer.collector import spare_the_engine

kept = [[number] for number in range(100_000)]
looks_before = gc.get_stats()[2]["collections"]
spare_the_engine()
print(gc.get_stats()[2]["collections"] - looks_before)
before = [generation["collections"] for generation in gc.get_stats()]
more = [[number] for number in range(100_000)]
after = [generation["collections"] for generation in gc.get_stats()]
cycle = []
cycle.append(cycle)
del cycle
looks = [last - first for first, last in zip(before, after)]
print(gc.get_freeze_count() >= 100_000, gc.isenabled(), looks[0] <= 5, looks[2], gc.collect() >= 1)
"""


def test_what_lives_is_spared_and_new_garbage_is_still_found() -> None:
    # In a process of its own: what is frozen stays so.
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True", "True", "0", "True"]
    assert gc.get_freeze_count() < 100_000
