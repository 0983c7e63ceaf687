"""A whole exchange as a newcomer runs it: `orderwire dev --no-demo --json`, in a folder of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from app.dev.credentials import Credentials

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
REPOSITORY = Path(__file__).resolve().parents[1]


def free_ports(count: int) -> int:
    """Return the first of `count` neighboring ports that are free now."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        if first + count < 65_536 and all(_is_free(first + offset) for offset in range(count)):
            return first
    raise OSError("no neighboring free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Exchange:
    """`orderwire dev` as a process; killed at the end whatever happens."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.rest: list[str] = []
        self.ws: list[str] = []
        self.accounts: dict[str, Credentials] = {}

    def start(self) -> None:
        """Start and wait for the first line on stdout, which says that everything is ready."""
        errors = (self.folder / "stderr.txt").open("ab")
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            "PYTHONPATH": str(REPOSITORY),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "dev", "--json", "--port", str(free_ports(2)), *self._options],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        errors.close()
        assert self._process.stdout is not None
        first: dict[str, Any] = json.loads(self._first_line())
        self.rest, self.ws = first["rest"], first["ws"]
        self.accounts = {name: Credentials(**value) for name, value in first["accounts"].items()}

    def _first_line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        os.set_blocking(self._process.stdout.fileno(), False)
        line = b""
        while not line.endswith(b"\n"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the exchange did not start:\n{self.errors()[-3000:]}")
            line += self._process.stdout.readline() or b""
            time.sleep(0.01)
        return line

    def errors(self) -> str:
        """Return what was written to stderr so far."""
        return (self.folder / "stderr.txt").read_text()

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=STOP_TIMEOUT_S)
        return process.returncode

    def kill(self) -> None:
        """SIGKILL of the supervisor, which takes everything with it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self) -> "Exchange":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
