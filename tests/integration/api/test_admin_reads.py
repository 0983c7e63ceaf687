"""The audit and the ledger's proof over tables that a real engine's journal was projected into."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg
import pytest

from app.domain.instrument import Instrument
from app.engine.engine import Engine
from app.projections.audit import ACTS
from app.projections.core import CoreProjector
from app.protocol.records import decode_batch, decode_command
from app.storage.database import create_database_engine
from app.storage.journal import JournalRow
from tests.database_roles import as_role
from tests.engine_rows import engine_rows
from tests.unit.api.stack import ADMIN, ALICE, Stack, problem

COMMANDS = 600


class EngineInstruments:
    """The instruments and assets of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._state = engine.state

    def get(self, symbol: str) -> Instrument | None:
        book = self._state.books.get(symbol)
        return None if book is None else book.instrument

    def all(self) -> list[Instrument]:
        return [book.instrument for book in self._state.books.values()]

    def asset_scale(self, asset: str) -> int | None:
        return self._state.assets.get(asset)


class Administered(NamedTuple):
    """A replica over a projected journal."""

    stack: Stack
    rows: list[JournalRow]
    database_url: str

    async def get(self, path: str) -> dict[str, Any]:
        """Read as an administrator."""
        response = await self.stack.client.get(path, headers=self.stack.bearer(ADMIN))
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found


@pytest.fixture
async def administered(database_url: str) -> AsyncIterator[Administered]:
    engine, rows = engine_rows(5, COMMANDS)
    projector = CoreProjector(as_role(database_url, "projector"), 0)
    await projector.apply(rows)
    await projector.close()
    stack = Stack(create_database_engine(as_role(database_url, "api"), pool_size=2), EngineInstruments(engine))
    yield Administered(stack, rows, database_url)
    await stack.close()


async def test_the_audit_lists_every_act_of_the_journal_newest_first(administered: Administered) -> None:
    records = [decode_batch(row.body) for row in administered.rows]
    acts = [
        (sequence, type(command).__struct_config__.tag, getattr(command, "account_id", None))
        for record in records
        for sequence, command in enumerate(map(decode_command, record.commands), record.first_seq)
        if type(command) in ACTS.values()
    ][::-1]
    listed: list[dict[str, Any]] = []
    path = "/v1/admin/audit?limit=7"
    while True:
        page = await administered.get(path)
        listed += page["data"]
        if page["next_cursor"] is None:
            break
        path = f"/v1/admin/audit?limit=7&cursor={page['next_cursor']}"
    found = [(act["engine_seq"], act["action"], act["account_id"]) for act in listed]
    assert found == [
        (sequence, action, None if account is None else str(account)) for sequence, action, account in acts
    ]
    assert {act["changed"] for act in listed} == {True, False}
    made = next(act for act in listed if act["action"] == "create_asset")
    assert made["details"].keys() == {"asset", "scale"}
    one = next(act["account_id"] for act in listed if act["account_id"])
    narrowed = (await administered.get(f"/v1/admin/audit?limit=1000&account_id={one}"))["data"]
    assert narrowed == [act for act in listed if act["account_id"] == one]


async def test_the_ledger_proves_itself_and_finds_one_unit_too_many(administered: Administered) -> None:
    proof = await administered.get("/v1/admin/ledger/verify")
    assert (proof["balanced"], proof["differing_balances"]) == (True, 0)
    assert proof["as_of_seq"] == administered.rows[-1].last_seq
    assets = proof["assets"]
    assert len(assets) >= 2
    assert all((asset["balances"], asset["entries"]) == ("0", "0") for asset in assets)

    connection = await asyncpg.connect(administered.database_url)
    await connection.execute(
        "UPDATE balances SET available = available + 1 WHERE (account_id, asset) = "
        "(SELECT account_id, asset FROM balances WHERE account_id > 1000 ORDER BY 1, 2 LIMIT 1)"
    )
    await connection.close()
    proof = await administered.get("/v1/admin/ledger/verify")
    assert (proof["balanced"], proof["differing_balances"]) == (False, 1)


@pytest.mark.parametrize("path", ["/v1/admin/audit", "/v1/admin/ledger/verify"])
async def test_others_than_administrators_see_neither(administered: Administered, path: str) -> None:
    stack = administered.stack
    assert problem(await stack.client.get(path, headers=stack.bearer(ALICE))).code == "missing_scope"
