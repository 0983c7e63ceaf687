"""The golden journal of an engine version: rows written once and replayed for ever.

`python -m tests.replay.golden_journal` writes the file of the current ENGINE_VERSION. Do that for a new version
only: a difference under an old one means that its rows no longer replay.
"""

import json
from pathlib import Path
from typing import NamedTuple

from app.engine.engine import ENGINE_VERSION
from tests.replay.journals import GOLDEN_COMMANDS, GOLDEN_SEED, Replayed, Row, record_journal, replay

FOLDER = Path(__file__).with_name("golden")


class Golden(NamedTuple):
    """A stored journal and what replaying it must give."""

    rows: list[Row]
    expected: Replayed


def read(version: int) -> Golden:
    """Return the golden journal of a version."""
    *lines, last = (FOLDER / f"v{version}.jsonl").read_text().splitlines()
    stored = [json.loads(line) for line in lines]
    rows = [Row(line["timestamp_ns"], [bytes.fromhex(text) for text in line["commands"]]) for line in stored]
    return Golden(rows, Replayed([line["digest"] for line in stored], json.loads(last)["state_hash"]))


def write() -> None:
    """Record the golden journal of the current engine version."""
    rows = record_journal(GOLDEN_SEED, GOLDEN_COMMANDS)
    replayed = replay(rows)
    lines = [
        json.dumps(
            {
                "timestamp_ns": row.timestamp_ns,
                "digest": digest,
                "commands": [command.hex() for command in row.commands],
            }
        )
        for row, digest in zip(rows, replayed.digests, strict=True)
    ]
    lines.append(json.dumps({"state_hash": replayed.state_hash}))
    (FOLDER / f"v{ENGINE_VERSION}.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write()
