"""`make bench`: both benchmarks, a table on stdout, all figures as JSON in benchmarks/results/."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from app.errors import StartupError
from benchmarks import engine, path, projector, scaling
from benchmarks.figures import environment
from benchmarks.peers import measure as peers
from benchmarks.peers.packages import PeersMissing
from benchmarks.workloads import MissingWorkload

MODULES: dict[str, Any] = {"engine": engine, "path": path, "peers": peers, "projector": projector, "scaling": scaling}
RESULTS = Path(__file__).with_name("results")
EXIT_MISSING = 2
EXIT_STARTUP = 3


def main() -> int:
    """Measure what was asked for. Returns 2 when a workload's files are missing, 3 when no exchange starts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what", nargs="*", metavar="engine|path|peers|projector|scaling", help="engine and path by default"
    )
    parser.add_argument("--rounds", type=int, help="more rounds, steadier medians")
    parser.add_argument("--out", type=Path, help="file of the JSON result")
    arguments = parser.parse_args()
    chosen = arguments.what or ["engine", "path"]
    if not set(chosen) <= MODULES.keys():
        parser.error(f"expected {', '.join(MODULES)}, was {' '.join(chosen)}")
    rounds = {} if arguments.rounds is None else {"rounds": max(arguments.rounds, 1)}
    result: dict[str, Any] = {"environment": environment()}
    started = time.monotonic()
    for name, module in MODULES.items():
        if name not in chosen:
            continue
        try:
            result[name] = module.measure(**rounds, progress=_say)
        except (MissingWorkload, PeersMissing) as error:
            _say(f"benchmarks: {error}")
            return EXIT_MISSING
        except StartupError as error:
            _say(f"benchmarks: {error}")
            return EXIT_STARTUP
        print(module.report(result[name]), flush=True)
    result["environment"]["seconds"] = round(time.monotonic() - started, 1)
    result["environment"]["load_average_at_end"] = round(os.getloadavg()[0], 2)
    _say(f"written to {_write(result, arguments.out)}")
    return 0


def _write(result: dict[str, Any], out: Path | None) -> Path:
    facts = result["environment"]
    if out is None:
        RESULTS.mkdir(exist_ok=True)
        out = RESULTS / f"{facts['date'][:19].replace(':', '')}-{facts['commit'][:8]}.json"
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return out


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
