"""`orderwire load`: orders at a given rate, and how long each waited."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.roles import EXIT_STARTUP, app, load_settings
from app.cli.running import running_exchange
from app.load.arrivals import Arrivals
from app.load.plan import CONNECTIONS_MAX, Options, Plan, Via

if TYPE_CHECKING:
    from app.load.open_loop import OpenLoop

EXIT_NOTHING = 1
RATE_MAX = 1_000_000
SECONDS_MAX = 86_400
IN_FLIGHT_MAX = 9_000
"""Less than a link keeps."""


@app.command()
def load(
    *,
    via: Annotated[Via, typer.Option(help="The public API's stream or REST, or the engine's link.")] = Via.STREAM,
    rate: Annotated[float, typer.Option(min=0.01, max=RATE_MAX, help="Orders a second.")] = 200.0,
    seconds: Annotated[float, typer.Option(min=0.1, max=SECONDS_MAX, help="How long to send.")] = 10.0,
    arrivals: Annotated[Arrivals, typer.Option(help="How the moments of sending are spread.")] = Arrivals.POISSON,
    seed: Annotated[int, typer.Option(help="Of the moments and the orders.")] = 1,
    connections: Annotated[int, typer.Option(min=1, max=CONNECTIONS_MAX, help="Each is a trader of its own.")] = 4,
    in_flight: Annotated[int, typer.Option(min=1, max=IN_FLIGHT_MAX, help="Most requests without an answer.")] = 1_000,
    rest: Annotated[
        str | None, typer.Option(help="Base URL of a replica; by default all of .orderwire/dev.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Send orders at a rate of arrival and measure each from the moment it was meant to leave.

    Through the public API with the administrator's key of .orderwire/dev.json, or through the engine's link with
    DATABASE_URL and LINK_SECRET from the environment. Lists a symbol and opens accounts of its own. Exit code 1
    when nothing was acknowledged, 2 for a bad option, 3 when the exchange cannot be used.
    """
    from app import logs
    from app.errors import OrderwireError
    from app.load.report import summary
    from app.load.wire import Refused

    logs.configure(role="load", level="error")
    plan = Plan(rate, seconds, arrivals, seed, in_flight)
    options = Options(via, plan, connections)
    try:
        with _live(plan, quiet=as_json) as watch:
            found = _run(options, rest, watch)
    except (OSError, ValueError, TimeoutError, OrderwireError, Refused, _refusals()) as error:
        print(f"orderwire: {str(error) or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(EXIT_STARTUP) from None
    if as_json:
        import msgspec

        print(msgspec.json.encode(found).decode())
    else:
        print(summary(found))
    raise typer.Exit(0 if found["acknowledged"] else EXIT_NOTHING)


def _run(options: Options, rest: str | None, watch: "Callable[[OpenLoop], None] | None") -> dict[str, Any]:
    from app.load.run import LinkPlace, run, run_on_api, run_on_link

    if options.via is Via.LINK:
        settings = load_settings()
        secret = settings.link_secret.get_secret_value().encode()
        return run(run_on_link(options, LinkPlace(settings.database_url, settings.shard, secret), watch=watch))
    administrator, replicas = running_exchange()
    urls = replicas if rest is None else [rest]
    return run(run_on_api(options, administrator, [url.rstrip("/") for url in urls], watch=watch))


@contextmanager
def _live(plan: Plan, *, quiet: bool) -> "Iterator[Callable[[OpenLoop], None] | None]":
    """Yield what shows a run while it goes on; nothing unless stderr is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    from app.load.report import live_table

    with Live(console=Console(file=sys.stderr), auto_refresh=False, transient=True) as live:
        yield lambda loop: live.update(live_table(loop, plan), refresh=True)


def _refusals() -> type[Exception]:
    from app.dev.client import RequestRefused

    return RequestRefused
