"""An administrator's acts that need no running API: the first account with its key, the roles' database logins."""

import re
import secrets

import msgspec

from app.auth.api_keys import ApiKeys
from app.auth.secret_box import SecretBox
from app.auth.stores import DatabaseKeyStore
from app.bootstrap.startup import locate_leader, open_journal, require_database
from app.config import Settings
from app.domain.commands import CreateAccount
from app.domain.identity import SCOPES, Principal
from app.errors import ApiError, StartupError
from app.link.client import LinkClient
from app.protocol.schemas import ApiKeyRequest
from app.storage.database import create_database_engine
from app.storage.roles import ROLES, create_logins, login_url

LEADER_WAIT_S = 10.0
LOGIN_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,39}")
PASSWORD_BYTES = 24


class Credentials(msgspec.Struct, frozen=True):
    """An account and a key of it; the secret is shown here only."""

    account_id: str
    key: str
    secret: str


async def bootstrap_admin(settings: Settings, *, name: str = "admin") -> Credentials:
    """Open the account if it is new and make a key with every scope. Raises StartupError."""
    await require_database(settings.database_url)
    journal = await open_journal(settings)
    database = create_database_engine(settings.database_url, pool_size=1)
    link = LinkClient(
        shard=settings.shard,
        secret=settings.link_secret.get_secret_value().encode(),
        replica="admin",
        build="admin",
        locate=locate_leader(journal),
    )
    await link.start()
    try:
        if not await link.wait_connected(LEADER_WAIT_S):
            raise StartupError("no engine is leading: start `orderwire engine` first")
        outcome = await link.submit(CreateAccount(name))
        if outcome.account_id is None:
            raise StartupError(f"the account {name!r} cannot be opened: the name is reserved")
        keys = ApiKeys(DatabaseKeyStore(database), SecretBox(settings.key_secret.get_secret_value()))
        maker = Principal(outcome.account_id, frozenset(SCOPES))
        created = await keys.create(maker, ApiKeyRequest(name="administrator", scopes=list(SCOPES)))
    except ApiError as error:
        raise StartupError(f"the engine refused: {error.detail}") from error
    finally:
        await link.stop()
        await database.dispose()
        await journal.close()
    assert created.secret is not None  # noqa: S101  # a key without a public key has a secret
    return Credentials(str(outcome.account_id), created.key, created.secret)


async def make_logins(settings: Settings, *, prefix: str) -> dict[str, str]:
    """Give each role a login with a new password; returns the roles' database URLs. Raises StartupError."""
    if LOGIN_PREFIX.fullmatch(prefix) is None:
        raise StartupError(f"expected a prefix of lower case letters, digits and underscores, was {prefix!r}")
    await require_database(settings.database_url)
    passwords = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in ROLES}
    await create_logins(settings.database_url, prefix, passwords)
    return {role: login_url(settings.database_url, prefix, role, word) for role, word in passwords.items()}
