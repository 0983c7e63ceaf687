"""`orderwire dev` and the hidden `orderwire demo-market`, which dev starts."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.roles import app, fail
from app.dev.options import REPLICAS_MAX, DevOptions
from app.errors import StartupError

PORT_MAX = 65535


@app.command()
def dev(
    *,
    port: Annotated[int, typer.Option(min=1, max=PORT_MAX, help="Port of the first replica; the next take +1.")] = 8000,
    replicas: Annotated[int, typer.Option(min=1, max=REPLICAS_MAX, help="API processes.")] = 2,
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder that keeps the data; without it the data goes at stop.")
    ] = None,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Empty books, no bots, no filters, no limits.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line on stdout and nothing else.")] = False,
) -> None:
    """Run a whole exchange on this machine, with a market that trades."""
    from app.dev.supervisor import run_dev

    if port + replicas - 1 > PORT_MAX:
        raise typer.BadParameter(f"expected ports up to {PORT_MAX}, was {port + replicas - 1}", param_hint="--port")
    options = DevOptions(port=port, replicas=replicas, data_dir=data_dir, demo=not no_demo, json=as_json)
    raise typer.Exit(run_dev(options))


@app.command("demo-market", hidden=True)
def demo_market() -> None:
    """Run the bots of the demo market; `dev` does."""
    import asyncio
    import os

    import uvloop

    from app import logs
    from app.dev.market import plan_from_environment, run_market

    try:
        plan = plan_from_environment()
    except StartupError as error:
        fail(str(error))
    logs.configure(role="demo-market", level=os.environ.get("ORDERWIRE_LOG_LEVEL", "info"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        raise typer.Exit(runner.run(run_market(plan)))
