"""An API key of an account, as `orderwire dev --json` and `.orderwire/dev.json` carry it."""

import msgspec


class Credentials(msgspec.Struct, frozen=True):
    """Account and key with its secret."""

    account_id: str
    key: str
    secret: str
