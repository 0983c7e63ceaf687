"""A small volume that a test can fill: a file system of its own in memory, mounted for the length of a block."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_MIB = 256
CHUNK = b"\0" * 65_536
FILLER = "filler"


class Volume:
    """The mounted folder. What is filled into it is zeros in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def free_bytes(self) -> int:
        """Return how much may still be written."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self) -> int:
        """Write until nothing fits; returns the bytes written."""
        written = 0
        with (self.path / FILLER).open("ab", buffering=0) as file:
            for size in (len(CHUNK), 4096):
                try:
                    while True:
                        written += file.write(CHUNK[:size])
                except OSError:
                    # Full for this size.
                    continue
        return written

    def empty(self) -> None:
        """Give the space back."""
        (self.path / FILLER).unlink(missing_ok=True)


@contextmanager
def small_volume() -> Iterator[Volume]:
    """Mount a volume and yield it; it is gone afterwards. Needs to be root: the message says so."""
    folder = Path(tempfile.mkdtemp(prefix="orderwire-volume-"))
    try:
        options = f"size={SIZE_MIB}m,mode=0755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"a volume of its own needs root and the right to mount: {done.stderr.strip()}"
        try:
            folder.chmod(0o755)
            yield Volume(folder)
        finally:
            # Lazily: a log that is still open must not keep it.
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()
