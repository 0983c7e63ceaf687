"""What `orderwire dev` writes down about the exchange that runs in this folder."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.dev.credentials import Credentials

DEV_FILE = Path(".orderwire/dev.json")


def running_exchange() -> "tuple[Credentials, list[str]]":
    """Return the administrator's key and the replicas' URLs. Raises ValueError naming the file."""
    import msgspec

    from app.dev.credentials import Credentials

    try:
        running = msgspec.json.decode(DEV_FILE.read_bytes())
        replicas = [str(url) for url in running["rest"]]
        return msgspec.convert(running["accounts"]["admin"], Credentials), [replicas[0], *replicas[1:]]
    except FileNotFoundError:
        raise ValueError(f"{DEV_FILE}: there is no such file; start `orderwire dev` in this folder") from None
    except (KeyError, IndexError, TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"{DEV_FILE}: cannot be read: {error}") from None
