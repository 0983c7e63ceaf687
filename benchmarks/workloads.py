"""Order flow for the engine, as commands built ahead of time: a generated deep book, and a recorded day.

Buys and sells belong to different accounts, so nothing meets itself and the trades are those of any
price-time book. The commands are found by one dry run, which is also where the result is checked.
"""

import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from app.domain.commands import (
    AmendOrder,
    CancelOrder,
    Command,
    CreateAccount,
    CreateAsset,
    CreateInstrument,
    Deposit,
    PlaceOrder,
    SetLimits,
)
from app.domain.enums import OrderType, Side, TimeInForce
from app.domain.events import TradeExecuted
from app.domain.identity import FIRST_ACCOUNT_ID
from app.domain.instrument import RATE_SCALE
from app.domain.limits import LIMITS
from app.engine.engine import Engine

ACCOUNTS = 100
BATCH_COMMANDS = 64
DEEP_COMMANDS = 200_000
DEEP_SEED = 7
BITSTAMP = "bitstamp_20150501"
SYMBOL, BASE, QUOTE = "B-Q", "B", "Q"
START_NS = 1_700_000_000_000_000_000
BATCH_NS = 1_000_000
FUNDS = str(10**18)
MAKER_FEE, TAKER_FEE = RATE_SCALE // 5_000, RATE_SCALE // 2_000
GENERATOR = Path("research") / "perf" / "match" / "gen_workload.py"

_SHARED_DEFAULT = Path(__file__).resolve().parents[2] / "shared"


class MissingWorkload(Exception):
    """A folder or file that a workload comes from is not there: the message names it and the variable."""


class Step(NamedTuple):
    """One row of a flow: `place` (at any price when it is 0), `cancel`, or `renew`: cancel and place in one."""

    kind: str
    order: int
    is_buy: bool
    price: int
    quantity: int


class Workload(NamedTuple):
    """One order flow, as steps for the bare book and as commands for the engine; its seed rests before the start."""

    name: str
    setup: list[Command]
    seed: list[Step]
    steps: list[Step]
    seed_commands: list[Command]
    commands: list[Command]
    trades: int
    traded_quantity: int
    refused: int
    """Commands the engine refuses, as a venue would: cancels of orders that have ended."""


def deep() -> Workload:
    """Return 200,000 generated commands on a book that grows to 14,000 orders. Raises MissingWorkload."""
    with tempfile.TemporaryDirectory(prefix="orderwire-bench-") as folder:
        target = deep_flow(Path(folder))
        expected = json.loads(Path(f"{target}.json").read_text())
        steps = list(_generated(target.read_text().splitlines()))
    workload = _prepared("deep", [], steps, band=RATE_SCALE // 2)
    found = (workload.trades, workload.traded_quantity)
    if found != (expected["trades"], expected["traded_qty"]):
        raise AssertionError(f"deep: expected {expected['trades']} trades of {expected['traded_qty']}, was {found}")
    return workload


def deep_flow(folder: Path) -> Path:
    """Write the generated flow, and beside it what every engine must make of it. Raises MissingWorkload."""
    generator = Path(os.environ.get("ORDERWIRE_SHARED", _SHARED_DEFAULT)) / GENERATOR
    if not generator.exists():
        raise MissingWorkload(f"{generator} is missing: set ORDERWIRE_SHARED to the folder that has {GENERATOR}")
    target = folder / "deep.csv"
    arguments = [sys.executable, str(generator), str(DEEP_COMMANDS), str(DEEP_SEED), str(target), "deep"]
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # our own interpreter
    return target


def bitstamp() -> Workload:
    """Return 49,242 recorded commands of a real venue over its resting orders. Raises MissingWorkload."""
    folder = Path(os.environ.get("ORDERWIRE_DATA", _SHARED_DEFAULT / "data"))
    seed = [
        Step("place", order, side > 0, price, quantity)
        for order, side, price, quantity in (map(int, row) for row in _rows(folder / f"{BITSTAMP}_seed.csv.gz"))
    ]
    known = {step.order for step in seed}
    steps = []
    for _, kind, *rest in _rows(folder / f"{BITSTAMP}_commands.csv.gz"):
        order, side, price, quantity = map(int, rest)
        if kind == "N":
            known.add(order)
            steps.append(Step("place", order, side > 0, price, quantity))
        elif order in known:
            steps.append(Step("cancel", order, side > 0, price, 0))
    return _prepared(BITSTAMP, seed, steps, band=None)


UNREACHED = str(10**24)
"""Value of limits that are looked at and not reached."""


def batches(commands: list[Command]) -> list[list[Command]]:
    """Return commands in the batches they are sealed in."""
    return [commands[start : start + BATCH_COMMANDS] for start in range(0, len(commands), BATCH_COMMANDS)]


def opened(workload: Workload) -> Engine:
    """Return a fresh engine with the workload's accounts, funds and resting orders, sealed."""
    engine = Engine()
    for command in (*workload.setup, *workload.seed_commands):
        _accept(engine, command)
    engine.seal()
    return engine


def _generated(lines: Iterable[str]) -> Iterator[Step]:
    kinds = {"A": "place", "X": "place", "M": "place", "C": "cancel", "R": "renew"}
    for line in lines:
        kind, *rest = line.split(",")
        order, side, price, quantity = map(int, rest)
        yield Step(kinds[kind], order, side == 1, price, quantity)


def _rows(path: Path) -> Iterator[list[str]]:
    if not path.exists():
        raise MissingWorkload(f"{path} is missing: set ORDERWIRE_DATA to the folder with the recorded market data")
    with gzip.open(path, "rt", encoding="ascii", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        yield from reader


def _setup(band: int | None) -> list[Command]:
    """Return the market: every filter, fee and limit is set, so that every check has something to check."""
    instrument = CreateInstrument(
        SYMBOL,
        BASE,
        QUOTE,
        tick_size="1",
        lot_size="1",
        min_quantity=1,
        max_quantity=10**12,
        min_notional=1,
        max_notional=10**18,
        price_band=band,
        reference_price=100_000,
        maker_fee=MAKER_FEE,
        taker_fee=TAKER_FEE,
    )
    commands: list[Command] = [CreateAsset(BASE, 0), CreateAsset(QUOTE, 0), instrument]
    commands += [CreateAccount(f"account-{number}") for number in range(ACCOUNTS)]
    for number in range(ACCOUNTS):
        account_id = FIRST_ACCOUNT_ID + number
        commands += [Deposit(account_id, asset, FUNDS, f"{asset}-{number}") for asset in (BASE, QUOTE)]
    limits: dict[str, str | None] = {name: "0" if name == "duplicate_window_ns" else UNREACHED for name in LIMITS}
    return [*commands, SetLimits(limits)]


class _DryRun:
    """Turns steps into commands: an engine tells which order ids they will meet."""

    def __init__(self, setup: list[Command]) -> None:
        self.engine = Engine()
        for command in setup:
            _accept(self.engine, command)
        self.trades = 0
        self.traded_quantity = 0
        self.refused = 0
        self._ids: dict[int, int] = {}

    def commands(self, steps: list[Step]) -> list[Command]:
        """Apply the steps and return the commands that do what they say."""
        made: list[Command] = []
        for step in steps:
            for command in self._commands_of(step):
                made.append(command)
                if len(made) % BATCH_COMMANDS == 0:
                    self.engine.seal()
        self.engine.seal()
        return made

    def _commands_of(self, step: Step) -> Iterator[Command]:
        if step.kind == "place":
            yield self._place(step)
            return
        order = self.engine.state.orders[self._ids[step.order]]
        account_id = order.terms.account_id
        if step.kind == "renew" and (step.price != order.price or step.quantity > order.remaining):
            quantity = order.state.filled_quantity + step.quantity
            yield self._apply(AmendOrder(account_id, order.order_id, step.price, quantity))
            return
        yield self._apply(CancelOrder(account_id, order.order_id))
        if step.kind == "renew":
            # An amend that only lowers the quantity keeps its place; the flow says it goes to the back.
            yield self._place(step)

    def _place(self, step: Step) -> Command:
        half = ACCOUNTS // 2
        account_id = FIRST_ACCOUNT_ID + step.order % half + (0 if step.is_buy else half)
        side = Side.BUY if step.is_buy else Side.SELL
        if step.price:
            command = PlaceOrder(account_id, SYMBOL, side, OrderType.LIMIT, step.quantity, step.price)
        else:
            command = PlaceOrder(
                account_id, SYMBOL, side, OrderType.MARKET, step.quantity, time_in_force=TimeInForce.IOC
            )
        self._apply(command)
        self._ids[step.order] = self.engine.state.last_order_id
        return command

    def _apply(self, command: Command) -> Command:
        for event in self.engine.apply(command):
            if isinstance(event, TradeExecuted):
                self.trades += 1
                self.traded_quantity += event.quantity
        if self.engine.outcome.rejection is not None:
            if not isinstance(command, CancelOrder):
                raise AssertionError(f"{command} was refused: {self.engine.outcome.rejection}")
            self.refused += 1
        return command


def _prepared(name: str, seed: list[Step], steps: list[Step], *, band: int | None) -> Workload:
    setup = _setup(band)
    run = _DryRun(setup)
    seed_commands = run.commands(seed)
    if run.trades:
        raise AssertionError(f"{name}: expected a seed that rests, it trades {run.trades} times")
    commands = run.commands(steps)
    return Workload(name, setup, seed, steps, seed_commands, commands, run.trades, run.traded_quantity, run.refused)


def _accept(engine: Engine, command: Command) -> None:
    engine.apply(command)
    if engine.outcome.rejection is not None:
        raise AssertionError(f"{command} was refused: {engine.outcome.rejection}")
