"""Python's garbage collector beside an engine, whose objects point to each other by the million and are no garbage.

The engine leaves no cycles behind (a benchmark counts them), so what the collector looks for is what the rest of the
process leaves: little. By default it would look at every new object again and again, and at all of them now and then,
which is seen as a pause of the order path.
"""

import gc

YOUNG_OBJECTS = 20_000
"""New objects between two looks at the new ones: a look takes about a millisecond."""
YOUNG_LOOKS = 20
MIDDLE_LOOKS = 1_000


def spare_the_engine() -> None:
    """Take all that lives now out of the collector's sight for good, and let it look rarely from here on.

    Without a last look at it: that would take as long as the engine is large, at the moment when it is to lead.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, MIDDLE_LOOKS)
