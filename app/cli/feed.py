"""`orderwire feed`: play recorded order flow into a running server and check every answer."""

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.roles import app
from app.cli.running import running_exchange

if TYPE_CHECKING:
    from app.dev.credentials import Credentials
    from app.feed.command_set import CommandSet
    from app.feed.comparison import Comparison

EXIT_DIFFERENCE = 1
EXIT_USAGE = 2


@app.command()
def feed(
    prefix: Annotated[Path, typer.Argument(help="Path of the set without `_commands.csv.gz`.")],
    rest: Annotated[
        str | None, typer.Option(help="Base URL of a replica; by default the first one of .orderwire/dev.json.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol to list; a new one by default.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Play only the first so many commands.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Play a recorded command set through the public API and compare every fill and best price.

    Takes the administrator's key from .orderwire/dev.json. Exit code 1 on any difference, 2 for a bad
    file or option, 3 when the server cannot be used.
    """
    from app.feed.command_set import CommandSetError, read_command_set

    try:
        commands = read_command_set(prefix)
    except CommandSetError as error:
        print(f"orderwire: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_USAGE) from None
    if limit is not None:
        commands = first_commands(commands, limit)
    name = symbol or f"F-{time.time_ns() // 1_000_000:X}"
    try:
        admin, replicas = running_exchange()
        url = (rest or replicas[0]).rstrip("/")
        summary, comparison = asyncio.run(_play(commands, url, admin, name, quiet=as_json))
    except (OSError, ValueError, _refusals()) as error:
        print(f"orderwire: {error}", file=sys.stderr)
        raise typer.Exit(3) from None
    _report(summary, comparison, as_json=as_json)
    raise typer.Exit(0 if comparison.agrees else EXIT_DIFFERENCE)


def first_commands(commands: "CommandSet", limit: int) -> "CommandSet":
    """Return the set cut after so many commands, with what is expected of those."""
    kept = commands.commands[:limit]
    numbers = {command.number for command in kept}
    fills, best = commands.fills, commands.best
    return commands._replace(
        commands=kept,
        fills=None if fills is None else {number: fills[number] for number in fills.keys() & numbers},
        best=None if best is None else {number: best[number] for number in best.keys() & numbers},
    )


def _refusals() -> type[Exception]:
    from app.dev.client import RequestRefused

    return RequestRefused


async def _play(
    commands: "CommandSet", rest_url: str, admin: "Credentials", symbol: str, *, quiet: bool
) -> tuple[dict[str, Any], "Comparison"]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from app.dev.client import RestClient, StreamSession
    from app.feed.comparison import Comparison
    from app.feed.market import open_market
    from app.feed.player import Player

    async with RestClient(rest_url, admin) as rest:
        market = await open_market(rest, symbol, commands)
    stream_url = "ws" + rest_url.removeprefix("http") + "/v1/stream"
    comparison = Comparison(commands)
    player = Player(market, commands)
    async with (
        await StreamSession.connect(stream_url, market.buyer, on_frame=player.on_frame) as buys,
        await StreamSession.connect(stream_url, market.seller, on_frame=player.on_frame) as sells,
    ):
        await player.join(buys, sells)
        await player.seed()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        rate = TextColumn("{task.fields[rate]}/s")
        console = Console(file=sys.stderr, quiet=quiet)
        with Progress(*columns, rate, console=console, disable=quiet) as bar:
            task = bar.add_task(symbol, total=len(commands.commands), rate=0)
            started = time.monotonic()

            def progress(done: int) -> None:
                if done % 100 == 0:
                    bar.update(task, completed=done, rate=round(done / (time.monotonic() - started)))

            await player.play(comparison, progress)
            seconds = time.monotonic() - started
            bar.update(task, completed=len(commands.commands))
    return {"set": commands.name, "symbol": symbol, "commands": len(commands.commands), "seconds": seconds}, comparison


def _report(summary: dict[str, Any], comparison: "Comparison", *, as_json: bool) -> None:
    import msgspec

    summary |= {
        "commands_per_s": round(summary["commands"] / summary["seconds"], 1) if summary["seconds"] else 0,
        "seconds": round(summary["seconds"], 3),
        "fills_exact": comparison.fills_exact,
        "fills_expected": comparison.fills_expected,
        "fills_unexpected": comparison.fills_unexpected,
        "best_exact": comparison.best_exact,
        "best_expected": comparison.best_expected,
        "unknown_orders": comparison.unknown_orders,
        "agrees": comparison.agrees,
        "first_difference": comparison.first_difference,
    }
    if as_json:
        print(msgspec.json.encode(summary).decode())
        return
    print(f"{summary['set']} on {summary['symbol']}: {summary['commands']} commands in {summary['seconds']} s")
    print(f"  {summary['commands_per_s']} commands/s through the public API")
    if comparison.fills_expected is not None:
        print(f"  fills exact {comparison.fills_exact} of {comparison.fills_expected}")
        print(f"  unexpected fills {comparison.fills_unexpected}")
    if comparison.best_expected is not None:
        print(f"  best bid/offer states exact {comparison.best_exact} of {comparison.best_expected}")
    print(f"  commands on orders that were not open: {comparison.unknown_orders}")
    if comparison.first_difference is not None:
        print(f"  first difference: {comparison.first_difference}")
