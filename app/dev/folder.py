"""The folder that holds what local servers keep: PostgreSQL's data, passwords, logs, and a lock.

Given by the user it stays; otherwise it is temporary and removed. One launcher at a time holds its
lock, and the kernel frees the lock of a killed one, so a folder without a holder is known to be left over.
"""

import contextlib
import fcntl
import os
import pwd
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from app.dev.binaries import first_unreachable
from app.dev.private_files import read_json, write_private_json
from app.dev.processes import Owner
from app.errors import StartupError

LOCK_WAIT_S = 5.0
"""A predecessor that is stopping still holds the folder for a moment."""
LEFTOVER_AGE_S = 60.0
"""A temporary folder this young may belong to a launcher that has not locked it yet."""
PASSWORD_BYTES = 24

_PREFIX = "orderwire-servers-"
_LOCK = "lock"
_SECRETS = "servers.json"
_POLL_S = 0.05


def server_owner() -> Owner | None:
    """Return whom the servers must run as: nobody when we are root (PostgreSQL refuses root), else None, ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Owner(entry.pw_uid, entry.pw_gid)


class ServerFolder:
    """A locked folder. `path` exists, and the servers' user can reach it."""

    def __init__(self, data_dir: Path | None, owner: Owner | None) -> None:
        """Make or open the folder. Raises StartupError when it cannot be used."""
        self.temporary = data_dir is None
        self.owner = owner
        try:
            self.path = _temporary_folder() if data_dir is None else data_dir.absolute()
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartupError(
                f"cannot use the data folder {data_dir or tempfile.gettempdir()}: {error.strerror}"
            ) from error
        try:
            self._hold()
            self._open_to_owner()
        except BaseException:
            self.close()
            raise

    def _hold(self) -> None:
        deadline = time.monotonic() + LOCK_WAIT_S
        while not _try_lock(self._lock):
            if time.monotonic() > deadline:
                raise StartupError(f"the data folder {self.path} is in use by another process")
            time.sleep(_POLL_S)

    def _open_to_owner(self) -> None:
        if self.owner is None:
            return
        if self.path.stat().st_uid == os.geteuid():
            # Enough to pass through; the files inside have modes of their own.
            self.path.chmod(self.path.stat().st_mode | 0o011)
        barrier = first_unreachable(self.path, self.owner)
        if barrier is not None:
            raise StartupError(
                f"the data folder {self.path} is out of reach for user nobody, who runs the servers when you are root: "
                f"{barrier} may not be entered; choose another folder or run: chmod o+x {barrier}"
            )

    def secrets(self) -> dict[str, Any]:
        """Return the stored passwords and ports, random ones at first."""
        path = self.path / _SECRETS
        try:
            known = read_json(path)
        except ValueError as error:
            raise StartupError(f"{path} is damaged: {error}") from error
        if not known:
            if (self.path / "postgres").exists():
                raise StartupError(
                    f"{path} is missing, and with it the password of the data beside it; "
                    f"restore it or remove {self.path}"
                )
            known = {name: secrets.token_urlsafe(PASSWORD_BYTES) for name in ("postgres_password", "valkey_password")}
            write_private_json(path, known)
        return known

    def remember(self, **values: int) -> None:
        """Store ports, so that addresses stay the same across restarts when they can."""
        path = self.path / _SECRETS
        known = read_json(path)
        if any(known.get(name) != value for name, value in values.items()):
            write_private_json(path, known | values)

    def owned_folder(self, name: str) -> Path:
        """Return a new empty folder inside that belongs to the servers' user alone."""
        path = self.path / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        if self.owner is not None:
            os.chown(path, *self.owner)
        return path

    def close(self) -> None:
        """Release the folder; a temporary one is removed."""
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _temporary_folder() -> Path:
    _remove_leftovers()
    return Path(tempfile.mkdtemp(prefix=_PREFIX))


def _remove_leftovers() -> None:
    """Remove temporary folders whose launcher was killed before it could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < LEFTOVER_AGE_S:
                continue
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if _try_lock(descriptor):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
