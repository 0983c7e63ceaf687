"""`orderwire api | engine | worker | migrate | replay | journal | admin`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from app.errors import OrderwireError, StartupError

if TYPE_CHECKING:
    from app.config import Settings

EXIT_STARTUP = 3

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Orderwire: a self-hosted exchange backend.",
)
admin = typer.Typer(no_args_is_help=True, help="Operators' acts that need no running API.")
app.add_typer(admin, name="admin")
journal = typer.Typer(no_args_is_help=True, help="The journal as a file.")
app.add_typer(journal, name="journal")


def load_settings() -> "Settings":
    """Return the settings, or end with one line naming what is wrong."""
    from pydantic import ValidationError

    from app.config import Settings

    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "environment"
        fail(f"setting {name}: {first['msg'].removeprefix('Value error, ')}")


def fail(message: str) -> NoReturn:
    """End with one line on stderr and exit code 3."""
    print(f"orderwire: {message}", file=sys.stderr)
    raise typer.Exit(EXIT_STARTUP)


def announce(text: str) -> None:
    """Say on stderr where a role listens; stdout belongs to commands that answer something."""
    print(f"orderwire: {text}", file=sys.stderr, flush=True)


def run_role(role: str, start: Callable[["Settings"], Coroutine[Any, Any, int]]) -> None:
    """Run one role until it ends and leave with its exit code."""
    import uvloop

    from app import logs

    settings = load_settings()
    logs.configure(role=role, level=settings.log_level, log_format=settings.log_format)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(start(settings))
    except StartupError as error:
        fail(str(error))
    except OrderwireError as error:
        fail(f"{type(error).__name__}: {error}")
    raise typer.Exit(code)


@app.command()
def engine() -> None:
    """Run the matching engine: leads its shard, or stands by."""
    from app.bootstrap.engine import run_engine

    run_role("engine", lambda settings: run_engine(settings, announce=announce))


@app.command()
def worker() -> None:
    """Run the projections: journal to tables."""
    from app.bootstrap.worker import run_worker

    run_role("worker", lambda settings: run_worker(settings, announce=announce))


@app.command()
def api() -> None:
    """Run one API replica: REST and WebSocket."""
    from app.bootstrap.api import run_api

    run_role("api", lambda settings: run_api(settings, announce=announce))


@app.command()
def migrate() -> None:
    """Bring the database to this build's revision."""
    from app.storage.migrate import upgrade

    settings = load_settings()
    try:
        upgrade(settings.database_url)
    except OrderwireError as error:
        fail(str(error))
    except OSError as error:
        fail(f"PostgreSQL does not answer: {error}")
    announce("the database is at this build's revision")


@app.command()
def replay(
    start: int | None = typer.Option(
        None, "--from", min=1, help="First sequence to prove, after a checkpoint before it; by default all that can be."
    ),
    end: int | None = typer.Option(None, "--to", min=1, help="Last sequence to prove; the head by default."),
    verify: bool = typer.Option(False, "--verify", help="Replay and compare every event byte; required."),
    keep: bool = typer.Option(False, "--checkpoint", help="Write a checkpoint where the replay ends."),
) -> None:
    """Prove that the journal replays to the events it holds; prints the state hash as JSON."""
    import msgspec

    from app.bootstrap.replay import replay as run_replay

    if not verify:
        raise typer.BadParameter("say --verify: a replay always does", param_hint="--verify")

    async def prove(settings: "Settings") -> int:
        print(msgspec.json.encode(await run_replay(settings, start=start, end=end, keep=keep)).decode())
        return 0

    run_role("replay", prove)


@admin.command("start-epoch")
def start_epoch() -> None:
    """Give the published sequences a new identity after a restore that lost some; no engine may be leading."""
    import msgspec

    from app.bootstrap import new_epoch

    async def start(settings: "Settings") -> int:
        print(msgspec.json.encode(await new_epoch.start_epoch(settings)).decode())
        return 0

    run_role("admin", start)


@journal.command("export")
def export_journal(
    path: Annotated[Path, typer.Argument(help="File to write; it appears when it is whole.")],
    start: int | None = typer.Option(None, "--from", min=1, help="First sequence; by default the first there is."),
    end: int | None = typer.Option(None, "--to", min=1, help="Last sequence; the head by default."),
) -> None:
    """Write the journal to a checksummed file; prints what it holds as JSON."""
    import msgspec

    from app.bootstrap import journal_files

    async def export(settings: "Settings") -> int:
        moved = await journal_files.export_journal(settings, path, start=start, end=end)
        print(msgspec.json.encode(moved).decode())
        return 0

    run_role("journal", export)


@journal.command("import")
def import_journal(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files that exports wrote, the first from sequence 1 on, each continued by the next."),
    ],
) -> None:
    """Read a whole journal into a database whose shard has none; prints what it held as JSON."""
    import msgspec

    from app.bootstrap import journal_files

    async def restore(settings: "Settings") -> int:
        print(msgspec.json.encode(await journal_files.import_journal(settings, paths)).decode())
        return 0

    run_role("journal", restore)


@journal.command("prune")
def prune_journal(
    *,
    before: Annotated[int, typer.Option(min=1, help="Keep this sequence and everything after it.")],
    export: Annotated[Path, typer.Option(help="File that an export wrote, which holds all that goes.")],
) -> None:
    """Drop the partitions that lie before a sequence; refuses what export, checkpoints and projections do not cover."""
    import msgspec

    from app.bootstrap.journal_prune import prune_journal as run_prune

    async def prune(settings: "Settings") -> int:
        print(msgspec.json.encode(await run_prune(settings, before=before, export=export)).decode())
        return 0

    run_role("journal", prune)


@admin.command("create-logins")
def create_logins(
    prefix: str = typer.Option("orderwire_login", help="Start of the logins' names; give each exchange its own."),
) -> None:
    """Make or renew a database login for each role; prints their URLs as JSON. DATABASE_URL is an administrator's."""
    import msgspec

    from app.bootstrap.administrator import make_logins

    async def make(settings: "Settings") -> int:
        print(msgspec.json.encode(await make_logins(settings, prefix=prefix)).decode())
        return 0

    run_role("admin", make)


@admin.command("create-key")
def create_key(name: str = typer.Option("admin", help="Account the key acts for; opened if it is new.")) -> None:
    """Open an account and print a new API key with every scope, as JSON on stdout."""
    import msgspec

    from app.bootstrap.administrator import bootstrap_admin

    async def start(settings: "Settings") -> int:
        credentials = await bootstrap_admin(settings, name=name)
        print(msgspec.json.encode(credentials).decode())
        return 0

    run_role("admin", start)
