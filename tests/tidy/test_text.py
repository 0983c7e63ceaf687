"""What must not stand in any tracked file: paths of somebody's machine, unfinished marks, other line ends."""

import re

from tests.tidy.tree import ROOT, tracked

MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:root|home/\w+|Users/\w+|work/\w+|tmp/\w+|mnt/\w+)\b")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|<{7} |>{7} ")
SELF = "tests/tidy/test_text.py"
NOT_PROSE = {".lock"}


def lines() -> list[tuple[str, str]]:
    """Return place and text of every line of every tracked text file."""
    return [
        (f"{path}:{number}", line)
        for path in tracked()
        if path.suffix not in NOT_PROSE and str(path) != SELF
        for number, line in enumerate((ROOT / path).read_bytes().decode().split("\n"), 1)
    ]


def test_no_path_of_a_machine() -> None:
    assert [place for place, line in lines() if MACHINE_PATH.search(line)] == []


def test_lock_file_names_no_machine() -> None:
    assert not re.search(r"file://|@ /|^-(?:e|-index-url|-find-links)", (ROOT / "requirements.lock").read_text(), re.M)


def test_nothing_is_marked_as_unfinished() -> None:
    assert [place for place, line in lines() if UNFINISHED.search(line)] == []


def test_lines_end_as_lines_do() -> None:
    assert [place for place, line in lines() if line != line.rstrip()] == []
