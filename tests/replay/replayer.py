"""Replays journals in a process of its own: `python -m tests.replay.replayer FILE RESTART_SEED`.

The file holds msgpack-encoded journals; the answer is JSON on stdout, one entry per journal.
"""

import json
import sys
from pathlib import Path

import msgspec

from tests.replay.journals import Row, random_restarts, replay


def main(path: str, restart_seed: str) -> None:
    """Replay every journal of the file, restarting from checkpoints at random rows."""
    journals = msgspec.msgpack.decode(Path(path).read_bytes(), type=list[list[Row]])
    found = [
        replay(rows, restart_after=random_restarts(rows, int(restart_seed) + number))
        for number, rows in enumerate(journals)
    ]
    json.dump([replayed._asdict() for replayed in found], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
