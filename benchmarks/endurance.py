"""`python -m benchmarks.endurance --commands 10000000`: the engine's memory after many commands, and a restart."""

import argparse
import asyncio
import json
import sys

from benchmarks.engine_role import EngineServers
from benchmarks.restart import measure_restart


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("--commands", type=int, default=10_000_000, help="how many")
    arguments = parser.parse_args()
    with EngineServers() as servers:
        found = asyncio.run(measure_restart(servers, lambda line: print(line, file=sys.stderr), arguments.commands))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
