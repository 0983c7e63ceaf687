"""Environments that hold the peers, apart from ours: made once, kept beside the results, never committed."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).with_name("installed")
PYTHON_PACKAGES = ("akhil4n-orderbook==0.1.1", "lightmatchingengine==2019.1.4", "pyorderbook==0.4.9")
NODE_PACKAGE = "nodejs-order-book@10.1.1"
INSTALL_TIMEOUT_S = 180


class PeersMissing(Exception):
    """The peers cannot be installed here; the message says why."""


def python_peers() -> Path:
    """Return the Python that has the Python peers; installs them on first use. Raises PeersMissing."""
    folder = FOLDER / f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    done = folder / "done"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        _install([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON_PACKAGES])
        done.touch()
    return python


def node_peers() -> Path | None:
    """Return the modules folder with the Node peer, or None where Node is not installed. Raises PeersMissing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return None
    folder = FOLDER / "node"
    modules = folder / "node_modules"
    if not modules.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _install([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), NODE_PACKAGE])
    return modules


def _install(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S, stdout=subprocess.DEVNULL)  # noqa: S603  # pip, npm
    except (OSError, subprocess.SubprocessError) as error:
        raise PeersMissing(f"cannot install the peers: {error}") from error
