"""The container's health check: asks an API replica's `/healthz`, and lets the other roles be.

Exits with 0 or 1. The engine and the worker serve no HTTP, and end by themselves when something is
wrong, which the container runtime sees without us. Standard library only.
"""

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 2.0


def is_api(command_line: bytes) -> bool:
    """Return whether the container's first process runs the API."""
    return b"api" in command_line.split(b"\0")


def answers(port: str) -> bool:
    """Return whether `/healthz` answers 200 on this host."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    healthy = not is_api(Path("/proc/1/cmdline").read_bytes()) or answers(os.environ.get("ORDERWIRE_API_PORT", "8000"))
    sys.exit(0 if healthy else 1)
