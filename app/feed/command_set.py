"""A recorded command set: seed orders, commands, and what must come of them.

Files `PREFIX_seed.csv.gz`, `PREFIX_commands.csv.gz` and, where they exist, `PREFIX_fills.csv.gz` and
`PREFIX_bbo.csv.gz`. All numbers are integers; side 1 buys, -1 sells. Commands: N new limit order,
I immediate-or-cancel, X reduce by a quantity keeping the place, D delete, R delete and new.
"""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROWS_MAX = 5_000_000
KINDS = "NIXDR"


class CommandSetError(Exception):
    """A file is missing, or a row is bad: names file and line."""


class SeedOrder(NamedTuple):
    """A resting order at the start."""

    order: int
    side: int
    price: int
    quantity: int


class FeedCommand(NamedTuple):
    """One recorded command."""

    number: int
    kind: str
    order: int
    side: int
    price: int
    quantity: int


class ExpectedFill(NamedTuple):
    """One recorded fill of a command: the maker's order, price and quantity."""

    maker: int
    price: int
    quantity: int


class BestPrices(NamedTuple):
    """Recorded best ask and bid with quantities; 0 is an empty side."""

    ask: int
    ask_quantity: int
    bid: int
    bid_quantity: int


class CommandSet(NamedTuple):
    """A whole set. `fills` and `best` are None where their files do not exist; a command without fills is not a key."""

    name: str
    seed: list[SeedOrder]
    commands: list[FeedCommand]
    fills: dict[int, list[ExpectedFill]] | None
    best: dict[int, BestPrices] | None


def read_command_set(prefix: Path) -> CommandSet:
    """Read a set. Raises CommandSetError naming file and line."""
    seed = [SeedOrder(*row) for row in _integers(prefix, "seed", ("oid", "side", "price", "qty"))]
    commands = list(_commands(prefix))
    fills: dict[int, list[ExpectedFill]] | None = None
    if _path(prefix, "fills").exists():
        fills = {}
        for command, _, *fill in _integers(prefix, "fills", ("cmd", "taker", "maker", "price", "qty")):
            fills.setdefault(command, []).append(ExpectedFill(*fill))
    best: dict[int, BestPrices] | None = None
    if _path(prefix, "bbo").exists():
        rows = _integers(prefix, "bbo", ("cmd", "ask", "ask_qty", "bid", "bid_qty"))
        best = {command: BestPrices(*prices) for command, *prices in rows}
    return CommandSet(prefix.name, seed, commands, fills, best)


def _path(prefix: Path, part: str) -> Path:
    return prefix.with_name(f"{prefix.name}_{part}.csv.gz")


def _commands(prefix: Path) -> Iterator[FeedCommand]:
    columns = ("cmd", "kind", "oid", "side", "price", "qty")
    for line, row in _rows(prefix, "commands", columns):
        number, kind, *rest = row
        if kind not in KINDS or len(kind) != 1:
            raise CommandSetError(f"{_path(prefix, 'commands')}:{line}: expected a kind of {KINDS}, was {kind!r}")
        values = _parse(prefix, "commands", line, [number, *rest])
        yield FeedCommand(values[0], kind, *values[1:])


def _integers(prefix: Path, part: str, columns: tuple[str, ...]) -> Iterator[list[int]]:
    for line, row in _rows(prefix, part, columns):
        yield _parse(prefix, part, line, row, side="oid" in columns)


def _parse(prefix: Path, part: str, line: int, row: list[str], *, side: bool = True) -> list[int]:
    try:
        values = [int(text) for text in row]
    except ValueError:
        raise CommandSetError(f"{_path(prefix, part)}:{line}: expected integers, was {','.join(row)!r}") from None
    # seed: oid,side,price,qty; commands without their kind: cmd,oid,side,price,qty
    if side and values[-3] not in (1, -1):
        raise CommandSetError(f"{_path(prefix, part)}:{line}: expected side 1 or -1, was {values[-3]}")
    if min(values[-2:]) < 0:
        raise CommandSetError(f"{_path(prefix, part)}:{line}: expected no negative price or quantity")
    return values


def _rows(prefix: Path, part: str, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    path = _path(prefix, part)
    try:
        with gzip.open(path, "rt", encoding="ascii", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if tuple(header) != columns:
                raise CommandSetError(f"{path}:1: expected the columns {','.join(columns)}, was {','.join(header)!r}")
            for line, row in enumerate(reader, 2):
                if len(row) != len(columns):
                    raise CommandSetError(f"{path}:{line}: expected {len(columns)} values, was {len(row)}")
                if line > ROWS_MAX:
                    raise CommandSetError(f"{path}:{line}: expected at most {ROWS_MAX} rows")
                yield line, row
    except FileNotFoundError:
        raise CommandSetError(f"{path}: there is no such file") from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CommandSetError(f"{path}: cannot be read: {error}") from error
