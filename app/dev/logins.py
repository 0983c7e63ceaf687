"""The database logins of a development exchange: each process may do what its role may, as in production."""

import secrets
import zlib
from urllib.parse import urlsplit

from app.storage.roles import ROLES, create_logins, login_url

PASSWORD_BYTES = 24


async def role_urls(url: str) -> dict[str, str]:
    """Make or renew the logins of a database's exchange; returns a URL by role. Raises StartupError.

    Named after the database, because logins belong to the whole server. Passwords live as long as this start.
    """
    prefix = f"orderwire_dev_{zlib.crc32(urlsplit(url).path.encode()):08x}"
    passwords = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in ROLES}
    await create_logins(url, prefix, passwords)
    return {role: login_url(url, prefix, role, password) for role, password in passwords.items()}
