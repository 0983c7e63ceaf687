"""Where a call auction meets: the price of the largest volume, and what is left over at it.

Pure: price levels in, numbers out.
"""

from collections.abc import Iterable
from typing import NamedTuple

from app.domain.events import BookLevels


class Uncross(NamedTuple):
    """A price in ticks, the lots that trade at it, and the lots left over: positive on the buy side."""

    price: int
    quantity: int
    surplus: int


NO_UNCROSS = Uncross(0, 0, 0)
"""Nothing meets."""


def uncross_of(bids: Iterable[tuple[int, int]], asks: BookLevels, reference: int | None) -> Uncross:
    """Return where the levels of both sides, best first, meet.

    The price of the largest volume; of those the one of the least surplus, then the nearest to the reference price,
    then the lowest. Prices of levels count, and the reference if it is between the best of them.
    """
    if not asks:
        return NO_UNCROSS
    # Where something trades is between the best ask and the best bid: all else stays as it is at any price there.
    demand = {price: lots for price, lots in bids if price >= asks[0][0]}
    if not demand:
        return NO_UNCROSS
    best_bid = next(iter(demand))
    supply = {price: lots for price, lots in asks if price <= best_bid}
    candidates, offered, wanted = [], 0, sum(demand.values())
    for price in sorted(demand.keys() | supply.keys()):
        offered += supply.get(price, 0)
        candidates.append(Uncross(price, min(wanted, offered), wanted - offered))
        wanted -= demand.get(price, 0)
    most = max(each.quantity for each in candidates)
    candidates = [each for each in candidates if each.quantity == most]
    least = min(abs(each.surplus) for each in candidates)
    candidates = [each for each in candidates if abs(each.surplus) == least]
    lowest, highest = candidates[0], candidates[-1]
    if reference is None or reference <= lowest.price:
        return lowest
    if reference >= highest.price:
        return highest
    wanted = sum(lots for price, lots in demand.items() if price >= reference)
    offered = sum(lots for price, lots in supply.items() if price <= reference)
    return Uncross(reference, min(wanted, offered), wanted - offered)
