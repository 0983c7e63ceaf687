"""Reading recorded command sets, and naming what is wrong with one."""

import gzip
from pathlib import Path

import pytest

from app.feed.command_set import BestPrices, CommandSetError, ExpectedFill, FeedCommand, SeedOrder, read_command_set

SEED = "oid,side,price,qty\n1,1,99,5\n2,-1,101,7\n"
COMMANDS = "cmd,kind,oid,side,price,qty\n0,N,3,1,101,2\n1,X,2,-1,101,1\n2,D,1,1,99,0\n"
FILLS = "cmd,taker,maker,price,qty\n0,3,2,101,2\n"
BEST = "cmd,ask,ask_qty,bid,bid_qty\n0,101,5,99,5\n"


def write(folder: Path, **parts: str) -> Path:
    for part, content in parts.items():
        with gzip.open(folder / f"set_{part}.csv.gz", "wt") as file:
            file.write(content)
    return folder / "set"


def test_a_whole_set_is_read(tmp_path: Path) -> None:
    found = read_command_set(write(tmp_path, seed=SEED, commands=COMMANDS, fills=FILLS, bbo=BEST))
    assert found.seed == [SeedOrder(1, 1, 99, 5), SeedOrder(2, -1, 101, 7)]
    assert found.commands[1] == FeedCommand(1, "X", 2, -1, 101, 1)
    assert found.fills == {0: [ExpectedFill(2, 101, 2)]}
    assert found.best == {0: BestPrices(101, 5, 99, 5)}


def test_expected_files_are_optional(tmp_path: Path) -> None:
    found = read_command_set(write(tmp_path, seed=SEED, commands=COMMANDS))
    assert (found.fills, found.best) == (None, None)


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("commands", COMMANDS + "3,Q,4,1,9,9\n", r"set_commands\.csv\.gz:5: expected a kind of NIXDR, was 'Q'"),
        ("commands", COMMANDS + "3,NI,4,1,9,9\n", r":5: expected a kind"),
        ("commands", COMMANDS + "3,N,4,1,9\n", r":5: expected 6 values, was 5"),
        ("commands", COMMANDS + "3,N,4,2,9,9\n", r":5: expected side 1 or -1, was 2"),
        ("commands", COMMANDS + "3,N,4,1,9.5,9\n", r":5: expected integers"),
        ("commands", COMMANDS + "3,N,4,1,9,-9\n", r":5: expected no negative"),
        ("commands", "a,b\n", r":1: expected the columns cmd,kind,oid,side,price,qty"),
        ("seed", SEED + "x,1,1,1\n", r"set_seed\.csv\.gz:4: expected integers"),
        ("fills", FILLS + "1,2\n", r"set_fills\.csv\.gz:3: expected 5 values"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, part: str, content: str, message: str) -> None:
    parts = {"seed": SEED, "commands": COMMANDS, "fills": FILLS, "bbo": BEST, part: content}
    with pytest.raises(CommandSetError, match=message):
        read_command_set(write(tmp_path, **parts))


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandSetError, match=r"set_seed\.csv\.gz: there is no such file"):
        read_command_set(tmp_path / "set")
    prefix = write(tmp_path, seed=SEED, commands=COMMANDS)
    (tmp_path / "set_commands.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(CommandSetError, match=r"set_commands\.csv\.gz: cannot be read"):
        read_command_set(prefix)
