"""Determinism at full size: many long journals, replayed by every installed Python that can run the engine.

`python -m tests.replay.soak` records 500 journals of 2,000 commands, then replays them in processes with different
hash seeds, restored from random checkpoints, on each Python from 3.11 on that it finds. Every row's bytes and every
final state hash must be equal. Ends with 1 and the first journal that differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.replay.journals import Replayed, Row, record_journal, replay

ROOT = Path(__file__).parents[2]
JOURNALS, COMMANDS = 500, 2_000
FIRST_SEED = 10_000
SLICE = 50
"""Journals that are recorded, replayed everywhere and forgotten together."""
LOWEST = (3, 11)
NEEDED = ("msgspec", "sortedcontainers")
REPLAY_TIMEOUT_S = 900
INSTALL_TIMEOUT_S = 300


def installed_pythons() -> list[Path]:
    """Return one interpreter per version from 3.11 on: on PATH, and where pyenv and uv keep theirs."""
    home = Path.home()
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += [*home.glob(".pyenv/versions/*/bin"), *home.glob(".local/share/uv/python/*/bin")]
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("python3.[0-9][0-9]")):
            version = _version(path)
            if version is not None and tuple(map(int, version.split(".")[:2])) >= LOWEST:
                found.setdefault(version, path)
    return list(found.values())


def _version(python: Path) -> str | None:
    """Return the full version of a Python that works, else None."""
    try:
        result = subprocess.run([str(python), "-V"], check=True, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.split()[1]


def with_engine(python: Path, folder: Path) -> Path:
    """Return a Python in an environment that can run the engine. Raises CalledProcessError."""
    if python.resolve() == Path(sys.executable).resolve():
        return Path(sys.executable)
    target = folder / f"python-{_version(python)}"
    subprocess.run([str(python), "-m", "venv", str(target)], check=True, timeout=INSTALL_TIMEOUT_S)
    inside = target / "bin" / "python"
    locked = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith(NEEDED)]
    names = [line.split(";")[0].rstrip(" \\") for line in locked if "-stubs" not in line]
    install = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *names]
    subprocess.run(install, check=True, timeout=INSTALL_TIMEOUT_S)  # pinned names of our own lock
    return inside


def check(python: Path, journals: list[list[Row]], expected: list[Replayed], *, hash_seed: int, folder: Path) -> None:
    """Replay the journals in a process of that Python. Raises AssertionError naming the first that differs."""
    path = folder / "journals"
    path.write_bytes(msgspec.msgpack.encode(journals))
    result = subprocess.run(  # our own module
        [str(python), "-m", "tests.replay.replayer", str(path), str(hash_seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        check=True,
        capture_output=True,
        timeout=REPLAY_TIMEOUT_S,
    )
    for number, (entry, wanted) in enumerate(zip(json.loads(result.stdout), expected, strict=True)):
        if Replayed(**entry) != wanted:
            raise AssertionError(f"{python}: journal {number} of the slice differs under hash seed {hash_seed}")


def main() -> int:
    """Run all slices; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay.soak", description=__doc__)
    parser.add_argument("--journals", type=int, default=JOURNALS)
    parser.add_argument("--commands", type=int, default=COMMANDS)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="orderwire-soak-"))
    try:
        pythons = [with_engine(python, folder) for python in installed_pythons()]
        print("replaying with " + ", ".join(str(_version(python)) for python in pythons), file=sys.stderr, flush=True)
        for first in range(0, arguments.journals, SLICE):
            count = min(SLICE, arguments.journals - first)
            journals = [record_journal(FIRST_SEED + first + n, arguments.commands) for n in range(count)]
            expected = [replay(rows) for rows in journals]
            for number, python in enumerate(pythons):
                check(python, journals, expected, hash_seed=first + number + 1, folder=folder)
            print(f"{first + count} of {arguments.journals} journals", file=sys.stderr, flush=True)
    except AssertionError as error:
        print(error)
        return 1
    finally:
        shutil.rmtree(folder)
    print(f"{arguments.journals} journals of {arguments.commands:,} commands: equal on {len(pythons)} Pythons")
    return 0


if __name__ == "__main__":
    sys.exit(main())
