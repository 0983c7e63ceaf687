"""The mark price: what an instrument is taken to be worth, by more than its last trade. All prices are ticks."""

EXTERNAL_AGE_MAX_NS = 5_000_000_000
"""An external reference price counts while it is younger."""


def mark_of(known: list[int]) -> int | None:
    """Return the median of the last price, the mid price and a young external one, of those that exist."""
    ordered = sorted(known)
    if not ordered:
        return None
    return (ordered[0] + ordered[1]) // 2 if len(ordered) == 2 else ordered[len(ordered) // 2]
