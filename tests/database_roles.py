"""Logins of the roles on the tests' servers, and URLs for them.

Logins belong to a server, and several test runs may share a given one: names and passwords follow from the
administrator's URL, so that every run makes the same ones and none takes them from another.
"""

from hashlib import sha256
from urllib.parse import urlsplit

from app.storage.roles import ROLES, create_logins, login_url

PREFIX = "orderwire_test"


def password_of(url: str, role: str) -> str:
    """Return the password of a role's login on the server of an administrator's URL."""
    return sha256(f"{urlsplit(url).password}:{role}".encode()).hexdigest()


def as_role(url: str, role: str) -> str:
    """Return an administrator's URL as the URL of a role's login."""
    return login_url(url, PREFIX, role, password_of(url, role))


async def make_test_logins(url: str) -> None:
    """Make the logins; a migration ran on that server."""
    await create_logins(url, PREFIX, {role: password_of(url, role) for role in ROLES})
