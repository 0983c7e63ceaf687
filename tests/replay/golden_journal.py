"""The golden journals of each engine version: rows written once and kept for ever, in a folder per version.

`python -m tests.replay.golden_journal` writes those of the current ENGINE_VERSION, and never over what is there: a
difference under a version means that its rows no longer replay. Journals of older versions are read, not replayed:
their events were the older engine's.
"""

import json
from pathlib import Path
from typing import NamedTuple

from app.engine.engine import ENGINE_VERSION
from tests.replay.journals import Replayed, Row, record_journal, replay

FOLDER = Path(__file__).with_name("golden")
SEEDS = (121, 140, 164, 312)
"""Of the current version: together they have every command and every event. One that is new adds a journal with it."""
COMMANDS = 300


class Golden(NamedTuple):
    """A stored journal and what replaying it must give."""

    rows: list[Row]
    expected: Replayed


def stored(version: int) -> list[Path]:
    """Return the golden journals of a version."""
    return sorted((FOLDER / f"v{version}").glob("*.jsonl"))


def read(path: Path) -> Golden:
    """Return a golden journal."""
    *lines, last = path.read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    rows = [Row(entry["timestamp_ns"], [bytes.fromhex(text) for text in entry["commands"]]) for entry in entries]
    return Golden(rows, Replayed([entry["digest"] for entry in entries], json.loads(last)["state_hash"]))


def write() -> None:
    """Record the golden journals that the current engine version does not have yet."""
    folder = FOLDER / f"v{ENGINE_VERSION}"
    folder.mkdir(exist_ok=True)
    for seed in SEEDS:
        path = folder / f"{seed}.jsonl"
        if not path.exists():
            path.write_text("\n".join(lines_of(record_journal(seed, COMMANDS))) + "\n")


def lines_of(rows: list[Row]) -> list[str]:
    """Return a journal as the lines of its file."""
    replayed = replay(rows)
    entries: list[dict[str, object]] = [
        {"timestamp_ns": row.timestamp_ns, "digest": digest, "commands": [command.hex() for command in row.commands]}
        for row, digest in zip(rows, replayed.digests, strict=True)
    ]
    return [json.dumps(entry) for entry in [*entries, {"state_hash": replayed.state_hash}]]


if __name__ == "__main__":
    write()
