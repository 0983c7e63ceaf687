"""What `orderwire dev` can be told."""

from dataclasses import dataclass
from pathlib import Path

REPLICAS_MAX = 8


@dataclass(frozen=True, kw_only=True)
class DevOptions:
    """Options of one run; replica i listens on `port + i`."""

    port: int = 8000
    replicas: int = 2
    data_dir: Path | None = None
    """Keeps the data across restarts; None is a temporary folder, removed at the end."""
    demo: bool = True
    json: bool = False
    """One JSON line on stdout instead of text for people."""

    @property
    def ports(self) -> list[int]:
        """Port of each replica."""
        return [self.port + index for index in range(self.replicas)]

    @property
    def rest_urls(self) -> list[str]:
        """Base URL of each replica."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @property
    def stream_urls(self) -> list[str]:
        """WebSocket URL of each replica."""
        return [f"ws://127.0.0.1:{port}/v1/stream" for port in self.ports]
