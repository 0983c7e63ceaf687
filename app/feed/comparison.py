"""Holds what the server answered against what the recording says, command by command."""

from dataclasses import dataclass

from app.feed.command_set import BestPrices, CommandSet, ExpectedFill


@dataclass
class Comparison:
    """Counts of what agreed, and the first thing that did not."""

    expected: CommandSet
    fills_exact: int = 0
    fills_unexpected: int = 0
    best_exact: int = 0
    unknown_orders: int = 0
    """Commands on orders that the server did not have open."""
    first_difference: str | None = None

    @property
    def fills_expected(self) -> int | None:
        """Fills of the recording, or None if it has none."""
        return None if self.expected.fills is None else sum(map(len, self.expected.fills.values()))

    @property
    def best_expected(self) -> int | None:
        """Best bid/offer states of the recording, or None if it has none."""
        return None if self.expected.best is None else len(self.expected.best)

    @property
    def agrees(self) -> bool:
        """Whether everything the recording knows came out exactly."""
        fills = self.expected.fills is None or (self.fills_exact == self.fills_expected and not self.fills_unexpected)
        return fills and (self.expected.best is None or self.best_exact == self.best_expected)

    def check_best(self, command: int, best: BestPrices) -> None:
        """Compare the best prices after a command."""
        if self.expected.best is None or command not in self.expected.best:
            return
        wanted = self.expected.best[command]
        if best == wanted:
            self.best_exact += 1
        else:
            self._differ(f"command {command}: expected the best prices {_best(wanted)}, was {_best(best)}")

    def check_fills(self, command: int, fills: list[ExpectedFill]) -> None:
        """Compare all fills of a command, in order."""
        if self.expected.fills is None:
            return
        wanted = self.expected.fills.get(command, [])
        if fills == wanted:
            self.fills_exact += len(wanted)
            return
        self.fills_unexpected += max(len(fills) - len(wanted), 0)
        for place in range(max(len(fills), len(wanted))):
            got = fills[place] if place < len(fills) else None
            want = wanted[place] if place < len(wanted) else None
            if got == want:
                self.fills_exact += 1
            else:
                self._differ(f"command {command}, fill {place + 1}: expected {_fill(want)}, was {_fill(got)}")

    def _differ(self, text: str) -> None:
        if self.first_difference is None:
            self.first_difference = text


def _best(best: BestPrices) -> str:
    return f"ask {best.ask} x {best.ask_quantity}, bid {best.bid} x {best.bid_quantity}"


def _fill(fill: ExpectedFill | None) -> str:
    return "none" if fill is None else f"maker {fill.maker} at {fill.price} x {fill.quantity}"
