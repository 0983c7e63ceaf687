"""What `orderwire dev` remembers between starts: secrets, the accounts' keys, and whether the demo trades.

Kept in the data folder, readable by its owner only; without a data folder in memory.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from app.dev.credentials import Credentials
from app.dev.private_files import read_json, write_private_json
from app.errors import StartupError

SECRET_BYTES = 32
SECRET_NAMES = ("LINK_SECRET", "JWT_SECRET", "KEY_SECRET")
PASSWORD = "alice_password"  # noqa: S105  # the name under which it is kept
"""Password with which a person signs in as alice."""

_FILE = "orderwire.json"


class DevState:
    """Secrets and credentials; `save` keeps them when there is a data folder."""

    def __init__(self, data_dir: Path | None, *, demo: bool) -> None:
        """Read what an earlier start left. Raises StartupError when the folder belongs to the other mode."""
        self._path = None if data_dir is None else data_dir / _FILE
        try:
            stored: dict[str, Any] = {} if self._path is None else read_json(self._path)
            self.is_seeded = bool(stored.get("is_seeded", False))
            known_demo = stored.get("demo", demo)
            self._secrets = {
                name: str(stored.get(name) or secrets.token_urlsafe(SECRET_BYTES)) for name in (*SECRET_NAMES, PASSWORD)
            }
            self.credentials = msgspec.convert(stored.get("accounts", {}), dict[str, Credentials])
        except (ValueError, msgspec.ValidationError) as error:
            raise StartupError(f"{self._path} is damaged: {error}") from error
        if known_demo is not demo:
            made = "with" if known_demo else "without"
            raise StartupError(f"the data folder {data_dir} was made {made} the demo market; start it the same way")
        self._demo = demo

    @property
    def secrets(self) -> dict[str, str]:
        """Secrets of the roles, by environment variable."""
        return {name: self._secrets[name] for name in SECRET_NAMES}

    @property
    def password(self) -> str:
        """Password of alice."""
        return self._secrets[PASSWORD]

    def save(self, credentials: Mapping[str, Credentials] | None = None, *, is_seeded: bool = False) -> None:
        """Store secrets and, when given, new credentials and whether the exchange is filled."""
        if credentials is not None:
            self.credentials = dict(credentials)
            self.is_seeded = is_seeded
        if self._path is not None:
            accounts = msgspec.to_builtins(self.credentials)
            facts = {"demo": self._demo, "is_seeded": self.is_seeded, **self._secrets, "accounts": accounts}
            write_private_json(self._path, facts)
