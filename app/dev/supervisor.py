"""`orderwire dev`: a whole exchange on one machine, started in order and stopped in order.

Local servers, migrations, engine, worker, API replicas, seeding and the demo market. Every role is a
process of its own that knows the environment only; none outlives this process. One thread: it forks.
Modules that take long to import are imported where they are used, while the servers start.
"""

import asyncio
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import msgspec
import structlog

from app.dev import catalog
from app.dev.credentials import Credentials
from app.dev.crew import Crew
from app.dev.options import DevOptions
from app.dev.ports import LOOPBACK, is_free
from app.dev.private_files import write_private
from app.dev.roles import MARKET, import_ahead
from app.dev.servers import LocalServers
from app.dev.state import DevState
from app.errors import StartupError

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_STARTUP = 3
READY_WAIT_S = 60.0
WATCH_EVERY_S = 0.1
DEV_FILE = Path(".orderwire") / "dev.json"
"""Where other commands look for addresses and keys. It stays after the end: with a data folder the keys stay good."""
SHOWN_ACCOUNTS = (*catalog.CLIENTS, catalog.ADMINISTRATOR)

RATES = (
    "ORDERWIRE_STREAM_MESSAGES_PER_S",
    "ORDERWIRE_STREAM_SESSIONS_PER_ADDRESS",
    "ORDERWIRE_REQUESTS_PER_S",
    "ORDERWIRE_LOGINS_PER_MINUTE",
)
"""Settings of how much one client may ask."""
ON_ONE_MACHINE = {
    "ORDERWIRE_STANDBYS": "0",
    "ORDERWIRE_REOPEN_S": "0",
    "ORDERWIRE_DISK_CANCEL_ONLY_PERCENT": "1",
}
"""What a developer's exchange does not have or wait for, unless it is asked to."""

_PROBE_TIMEOUT_S = 2.0
_PROBE_EVERY_S = 0.01

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class StopRequested(BaseException):
    """SIGINT, SIGTERM or SIGHUP came."""


def run_dev(options: DevOptions) -> int:
    """Run until stopped. Returns 0 after a clean stop, 2 for a busy port, 3 when something cannot start."""
    busy = [port for port in options.ports if not is_free(port)]
    if busy:
        print(f"orderwire: port {busy[0]} is in use; choose another with --port", file=sys.stderr)
        return EXIT_USAGE
    from app import logs

    os.environ.setdefault("ORDERWIRE_LOG_LEVEL", "warning")
    logs.configure(role="dev", level=os.environ["ORDERWIRE_LOG_LEVEL"])
    supervisor = Supervisor(options)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, supervisor.on_signal)
    try:
        supervisor.start()
        supervisor.watch()
    except StopRequested:
        return EXIT_OK
    except StartupError as error:
        print(f"orderwire: {error}", file=sys.stderr)
        return EXIT_STARTUP
    finally:
        supervisor.stop()
    return EXIT_OK


class Supervisor:
    """The servers, the roles, and what they were seeded with."""

    def __init__(self, options: DevOptions) -> None:
        self._options = options
        given = {name: os.environ.get(name) or None for name in ("DATABASE_URL", "REDIS_URL")}
        self._database_is_given = given["DATABASE_URL"] is not None
        self._servers = LocalServers(options.data_dir, database_url=given["DATABASE_URL"], redis_url=given["REDIS_URL"])
        self._crew = Crew()
        self._logins: dict[str, str] = {}
        self._stopping = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Ask the main program to stop, once."""
        if not self._stopping:
            self._stopping = True
            raise StopRequested

    def start(self) -> None:
        """Bring everything up and say so. Raises StartupError."""
        state = DevState(self._options.data_dir, demo=self._options.demo)
        self._servers.launch()
        state.save()
        import_ahead()
        self._servers.wait()
        self._migrate()
        self._start_roles(state)
        from app.dev.client import RequestRefused

        try:
            self._seed(state)
            self._publish(state)
        except (RequestRefused, OSError, TimeoutError) as error:
            raise StartupError(f"the exchange could not be seeded: {type(error).__name__} {error}") from error

    def watch(self) -> None:
        """Start again what ends, until a signal comes."""
        while True:
            for name in self._servers.revive():
                log.warning("server_restarted", server=name)
            self._crew.check()
            time.sleep(WATCH_EVERY_S)

    def stop(self) -> None:
        """Stop everything in order; further signals change nothing."""
        self._stopping = True
        try:
            self._crew.stop()
        finally:
            self._servers.stop()

    def _migrate(self) -> None:
        from app.dev.given import claim_database
        from app.dev.logins import role_urls
        from app.storage.migrate import upgrade

        url = self._servers.database_url
        if self._database_is_given:
            asyncio.run(claim_database(url))
        upgrade(url)
        self._logins = asyncio.run(role_urls(url))

    def _start_roles(self, state: DevState) -> None:
        # Also this process's own: it makes the administrator's key with the same settings.
        os.environ.update(
            state.secrets,
            DATABASE_URL=self._logins["api"],
            REDIS_URL=self._servers.redis_url,
            ORDERWIRE_API_HOST=LOOPBACK,
            ORDERWIRE_ENGINE_HOST=LOOPBACK,
            ORDERWIRE_ENGINE_PORT="0",
        )
        for name, value in ON_ONE_MACHINE.items():
            os.environ.setdefault(name, value)
        if self._servers.data_folder is not None:
            # The engine's role may not ask the server for it.
            os.environ.setdefault("ORDERWIRE_DISK_PATHS", str(self._servers.data_folder))
        if not self._options.demo:
            # Its own tests switch limits on.
            os.environ.update(dict.fromkeys(RATES, "0"))
        # Stopped in the opposite order: replicas say goodbye while the engine still answers,
        # and the worker writes down the last thing the engine did.
        self._crew.add("worker", {**os.environ, "DATABASE_URL": self._logins["projector"]})
        self._crew.add("engine", {**os.environ, "DATABASE_URL": self._logins["engine"]})
        for port in self._options.ports:
            self._crew.add("api", {**os.environ, "ORDERWIRE_API_PORT": str(port)})

    def _seed(self, state: DevState) -> None:
        """Fill a new exchange; one that was filled before is left exactly as it is."""
        from app.dev.seed import engine_sequence, seed, wait_visible

        rest = self._options.rest_urls
        if not state.credentials:
            self._make_administrator(state)
        self._wait_ready()
        position = asyncio.run(engine_sequence(rest[0], state.credentials[catalog.ADMINISTRATOR]))
        if position is None:
            # The database behind the stored keys was replaced.
            self._make_administrator(state)
        if position is None or not state.is_seeded:
            seeded = asyncio.run(seed(rest[0], state.credentials, demo=self._options.demo))
            state.save(seeded.credentials, is_seeded=True)
            position = seeded.engine_seq
        if self._options.demo:
            self._start_market(state.credentials)
        asyncio.run(wait_visible(rest, state.credentials["alice"], position))

    def _make_administrator(self, state: DevState) -> None:
        from app.bootstrap.administrator import bootstrap_admin
        from app.cli.roles import load_settings

        made = asyncio.run(self._watched(bootstrap_admin(load_settings(), name=catalog.ADMINISTRATOR)))
        administrator = Credentials(made.account_id, made.key, made.secret)
        state.save({catalog.ADMINISTRATOR: administrator}, is_seeded=False)

    def _start_market(self, accounts: Mapping[str, Credentials]) -> None:
        from app.dev.market import MARKET_VARIABLE, MarketPlan

        bots = {name: accounts[name] for name in catalog.BOTS}
        plan = MarketPlan(rest=self._options.rest_urls, ws=self._options.stream_urls, accounts=bots)
        self._crew.add(MARKET, {**os.environ, MARKET_VARIABLE: msgspec.json.encode(plan).decode()})

    async def _watched(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of work that needs the roles. Raises StartupError as soon as one of them has ended."""
        task = asyncio.create_task(work)
        while not task.done():
            await asyncio.wait((task,), timeout=WATCH_EVERY_S)
            try:
                self._require_roles()
            except StartupError:
                task.cancel()
                raise
        return task.result()

    def _require_roles(self) -> None:
        ended = self._crew.ended()
        if ended is not None:
            raise StartupError(f"{ended[0]} ended with exit code {ended[1]} while starting")

    def _wait_ready(self) -> None:
        waiting = set(self._options.ports)
        deadline = time.monotonic() + READY_WAIT_S
        while waiting:
            self._require_roles()
            if time.monotonic() > deadline:
                raise StartupError(f"replicas on ports {sorted(waiting)} were not ready within {READY_WAIT_S:.0f} s")
            waiting -= {port for port in waiting if _is_ready(port)}
            time.sleep(_PROBE_EVERY_S)

    def _publish(self, state: DevState) -> None:
        facts = {
            "rest": self._options.rest_urls,
            "ws": self._options.stream_urls,
            "accounts": {name: msgspec.to_builtins(state.credentials[name]) for name in SHOWN_ACCOUNTS},
        }
        line = json.dumps(facts) + "\n"
        try:
            DEV_FILE.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(DEV_FILE, line)
        except OSError as error:
            raise StartupError(f"cannot write {DEV_FILE.absolute()}: {error.strerror}") from error
        print(line if self._options.json else self._text(state), end="", flush=True)

    def _text(self, state: DevState) -> str:
        from app.dev.banner import banner
        from app.dev.seed import sign_in

        person = asyncio.run(sign_in(self._options.rest_urls[0], state.credentials, password=state.password))
        keeps_data = self._database_is_given or not self._servers.temporary
        return banner(self._options, state.credentials, person, keeps_data=keeps_data)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
