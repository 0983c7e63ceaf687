"""One replica's application over fakes of what would be other processes, with real authentication.

The engine and the market feed are faked; the database is an address where nobody listens, so a test
that reaches it sees an outage, not data.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.api.services import Services
from app.auth.api_keys import ApiKeys, CreatedKey
from app.auth.authenticator import CredentialsAuthenticator
from app.auth.clock import wall_clock_ms
from app.auth.login import LoginService
from app.auth.passwords import TEST_PROFILE, Passwords
from app.auth.secret_box import SecretBox
from app.auth.signatures import hmac_signature, signed_text
from app.auth.stores import DatabaseKeyStore, DatabaseUserStore, KeyStore, UserStore
from app.auth.tokens import AccessTokens
from app.domain.enums import DisconnectScope, OrderStatus, OrderType, Priority, Side, TimeInForce
from app.domain.identity import Principal, SessionKey
from app.domain.instrument import Instrument
from app.errors import ApiError, BusUnavailable
from app.gateway.orders import OrderGateway
from app.main import create_app
from app.protocol import admin_schemas, schemas
from app.protocol.modes import status_of
from app.protocol.ports import CommandLink, Instruments
from app.protocol.shapes import instrument_shape
from app.storage.cursors import CoreCursor
from tests.unit.api.fake_market import FakeMarket
from tests.unit.api.fake_standings import FakeStandings
from tests.unit.auth.memory_stores import MemoryKeyStore, MemoryUserStore

SECRET = "s" * 32
ALICE = Principal(account_id=1001, scopes=frozenset({"read", "trade", "transfer"}))
ADMIN = Principal(account_id=1002, scopes=frozenset({"read", "trade", "transfer", "admin"}))
BTC_USD = Instrument(
    "BTC-USD", "BTC", "USD", "0.01", "0.00000001", base_scale=8, quote_scale=10, notional_unit=1, lot_units=1
)
NOBODY_LISTENS = "postgresql+asyncpg://nobody:nothing@127.0.0.1:9/none"


def order(**changes: Any) -> dict[str, Any]:
    """Return the members of a resting order."""
    return {
        "order_id": "7",
        "client_order_id": None,
        "symbol": "BTC-USD",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price": "100",
        "quantity": "1",
        "status": OrderStatus.OPEN,
        "filled_quantity": "0",
        "remaining_quantity": "1",
        "average_price": None,
        "fees": "0",
        "version": 1,
        "reason": None,
        "label": None,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": "2026-01-01T00:00:00.000000Z",
        "engine_seq": 42,
    } | changes


class FakeOrderEntry:
    """Accepts every order; remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.refusal: Exception | None = None
        self.client_order_ids: set[str] = set()
        self.acknowledged = 0

    def _take(self, name: str, what: Any) -> None:
        self.calls.append((name, what))
        if self.refusal is not None:
            raise self.refusal

    async def place(
        self, principal: Principal, request: schemas.PlaceOrderRequest, *, session_id: str | None = None
    ) -> schemas.PlacedOrder:
        self._take("place", request)
        duplicate = request.client_order_id in self.client_order_ids
        if request.client_order_id is not None:
            self.client_order_ids.add(request.client_order_id)
        return schemas.PlacedOrder(
            **order(client_order_id=request.client_order_id), fills=[], duplicate=duplicate, book=None
        )

    async def cancel(
        self,
        principal: Principal,
        *,
        order_id: str | None = None,
        client_order_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrder:
        self._take("cancel", order_id)
        return schemas.CanceledOrder(**order(status=OrderStatus.CANCELED), book=None)

    async def amend(
        self, principal: Principal, order_id: str, request: schemas.AmendOrderRequest, *, session_id: str | None = None
    ) -> schemas.AmendedOrder:
        self._take("amend", (order_id, request))
        return schemas.AmendedOrder(**order(), priority=Priority.KEPT, book=None)

    async def cancel_all(
        self,
        principal: Principal,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        label: str | None = None,
        order_list_id: str | None = None,
        session_id: str | None = None,
    ) -> schemas.CanceledOrders:
        self._take("cancel_all", (symbol, side, label, order_list_id))
        return schemas.CanceledOrders(engine_seq=42, canceled=[schemas.Order(**order())])

    async def place_batch(
        self, principal: Principal, request: schemas.BatchRequest, *, session_id: str | None = None
    ) -> schemas.PlacedBatch:
        self._take("place_batch", request)
        placed = schemas.PlacedOrder(**order(), fills=[], duplicate=False, book=None)
        return schemas.PlacedBatch(engine_seq=42, results=[schemas.BatchEntry(order=placed) for _ in request.orders])

    async def place_list(
        self, principal: Principal, request: schemas.OrderListRequest, *, session_id: str | None = None
    ) -> schemas.PlacedList:
        self._take("place_list", request)
        orders = [schemas.Order(**order(order_list_id="3")) for _ in request.orders]
        return schemas.PlacedList(order_list_id="3", orders=orders, duplicate=False, engine_seq=42)

    async def check(self, principal: Principal, request: schemas.PlaceOrderRequest) -> schemas.CheckedOrder:
        self._take("check", request)
        return schemas.CheckedOrder(valid=True, checks=[], engine_seq=42)

    async def guard_session(
        self, key: SessionKey, scope: DisconnectScope | None, grace_ms: int, *, is_adopted: bool = False
    ) -> None:
        self._take("guard_session", key)

    async def cancel_after(
        self, principal: Principal, request: schemas.CancelAfterRequest, *, session_id: str | None = None
    ) -> schemas.CancelAfter:
        self._take("cancel_after", request)
        return schemas.CancelAfter(42, "2026-01-01T00:00:00.000000Z" if request.timeout_ms else None)

    def acknowledge(self, account_id: int, engine_seq: int) -> None:
        self.acknowledged = engine_seq

    def acknowledged_seq(self, account_id: int) -> int:
        return self.acknowledged


class FakeAdministration:
    """Accepts every act; remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.names: list[str] = []
        self.transfers: set[str] = set()

    async def create_asset(self, request: admin_schemas.AssetRequest) -> int:
        self.calls.append(("create_asset", request))
        return 43

    async def create_instrument(self, request: admin_schemas.InstrumentRequest) -> tuple[schemas.InstrumentShape, int]:
        self.calls.append(("create_instrument", request))
        return instrument_shape(BTC_USD), 43

    async def edit_instrument(
        self, symbol: str, request: admin_schemas.InstrumentEditRequest
    ) -> tuple[schemas.InstrumentShape, int]:
        self.calls.append(("edit_instrument", (symbol, request)))
        return instrument_shape(BTC_USD), 43

    async def create_account(self, name: str) -> tuple[int, int, bool]:
        self.calls.append(("create_account", name))
        existed = name in self.names
        if not existed:
            self.names.append(name)
        return 1001 + self.names.index(name), 43, existed

    async def edit_account(self, account_id: int, request: admin_schemas.AccountEditRequest) -> int:
        self.calls.append(("edit_account", (account_id, request)))
        return 43

    async def deposit(self, account_id: int, request: admin_schemas.TransferRequest) -> tuple[int, bool]:
        return self._transfer("deposit", account_id, request)

    async def withdraw(self, account_id: int, request: admin_schemas.TransferRequest) -> tuple[int, bool]:
        return self._transfer("withdraw", account_id, request)

    async def transfer(self, account_id: int, request: admin_schemas.MoveRequest) -> tuple[int, bool]:
        self.calls.append(("transfer", (account_id, request)))
        duplicate = request.transfer_id in self.transfers
        self.transfers.add(request.transfer_id)
        return 43, duplicate

    async def set_reference(self, symbol: str, request: admin_schemas.ReferenceRequest) -> int:
        self.calls.append(("set_reference", (symbol, request)))
        return 43

    async def set_fee_tiers(self, request: admin_schemas.FeeTiersRequest) -> int:
        self.calls.append(("set_fee_tiers", request))
        return 43

    async def set_limits(self, request: admin_schemas.LimitsRequest) -> int:
        self.calls.append(("set_limits", request))
        return 43

    async def set_kill_switch(self, request: admin_schemas.KillSwitchRequest) -> tuple[int, bool]:
        self.calls.append(("set_kill_switch", request))
        return 43, False

    async def engine_status(self) -> dict[str, object]:
        return {"term": 1, "engine_seq": 43, "state_hash": "00", "mode": "normal"}

    def _transfer(self, name: str, account_id: int, request: admin_schemas.TransferRequest) -> tuple[int, bool]:
        self.calls.append((name, (account_id, request)))
        duplicate = request.transfer_id in self.transfers
        self.transfers.add(request.transfer_id)
        return 43, duplicate


class FakeInstruments:
    """One instrument."""

    def __init__(self, listed: Instrument = BTC_USD) -> None:
        self.listed = listed

    def get(self, symbol: str) -> Instrument | None:
        return self.listed if symbol == self.listed.symbol else None

    def all(self) -> list[Instrument]:
        return [self.listed]

    def asset_scale(self, asset: str) -> int | None:
        return {"BTC": 8, "USD": 10}.get(asset)


class MemoryReplayGuard:
    """Takes each signature once, or fails like Redis."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self.is_down = False

    async def first_use(self, key_id: str, signature: str, ttl_ms: int) -> bool:
        if self.is_down:
            raise BusUnavailable("Redis did not answer")
        first = (key_id, signature) not in self.seen
        self.seen.add((key_id, signature))
        return first


class Stack:
    """The application, its fakes, and clients with every kind of credentials."""

    def __init__(
        self,
        database: AsyncEngine | None = None,
        instruments: Instruments | None = None,
        link: CommandLink | None = None,
    ) -> None:
        instruments = instruments or FakeInstruments()
        engine = database or create_async_engine(NOBODY_LISTENS)
        self.entry = FakeOrderEntry()
        self.administration = FakeAdministration()
        self.market = FakeMarket()
        self.standings = FakeStandings()
        self.guard = MemoryReplayGuard()
        self.tokens = AccessTokens(SECRET)
        self.key_store: KeyStore = MemoryKeyStore() if database is None else DatabaseKeyStore(database)
        self.keys = ApiKeys(self.key_store, SecretBox(SECRET))
        self.passwords = Passwords(TEST_PROFILE)
        self.users: UserStore = MemoryUserStore() if database is None else DatabaseUserStore(database)
        self.status = status_of(())
        self.services = Services(
            shard=0,
            order_entry=self.entry if link is None else OrderGateway(link, instruments),
            administration=self.administration,
            market_data=self.market,
            instruments=instruments,
            standings=self.standings,
            authenticator=CredentialsAuthenticator(self.tokens, self.keys),
            replay_guard=self.guard,
            login=LoginService(self.users, self.administration, self.tokens, self.passwords, refresh_secret=SECRET),
            api_keys=self.keys,
            database=engine,
            core_cursor=CoreCursor(engine, 0),
            status=lambda: self.status,
        )
        self.app = create_app(self.services)
        self.client = self._client(self.app)

    @staticmethod
    def _client(app: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test")

    def with_services(self, **changes: Any) -> httpx2.AsyncClient:
        """Return a client of the same application with some services replaced."""
        return self._client(create_app(replace(self.services, **changes)))

    def bearer(self, principal: Principal = ALICE) -> dict[str, str]:
        """Return the header of an access token."""
        token, _ = self.tokens.issue(user_id=1, account_id=principal.account_id, scopes=principal.scopes)
        return {"Authorization": f"Bearer {token}"}

    async def key(self, principal: Principal = ALICE, **limits: Any) -> CreatedKey:
        """Return a new HMAC key of the principal."""
        return await self.keys.create(
            principal, schemas.ApiKeyRequest(name="test", scopes=sorted(principal.scopes), **limits)
        )

    @staticmethod
    def signed(
        key: CreatedKey, method: str, target: str, body: bytes = b"", timestamp: str | None = None
    ) -> dict[str, str]:
        """Return the headers of a signed request."""
        assert key.secret is not None
        at = timestamp or str(wall_clock_ms())
        return {
            "X-API-Key": key.key,
            "X-API-Timestamp": at,
            "X-API-Signature": hmac_signature(key.secret, signed_text(at, method, target, body)),
            "Content-Type": "application/json",
        }

    async def close(self) -> None:
        await self.client.aclose()
        self.passwords.close()
        await self.services.database.dispose()


@asynccontextmanager
async def running_stack() -> AsyncIterator[Stack]:
    """Yield a stack and end it."""
    stack = Stack()
    try:
        yield stack
    finally:
        await stack.close()


def problem(response: httpx2.Response) -> schemas.Problem:
    """Return the answer as the one error object, checked against its type and its status."""
    assert response.headers["content-type"] == "application/problem+json"
    decoded = msgspec.json.decode(response.content, type=schemas.Problem)
    assert decoded.status == response.status_code
    assert decoded.request_id == response.headers["x-request-id"]
    return decoded


def refused_with(code: str) -> ApiError:
    """Return a refusal of the engine."""
    return ApiError(code, "refused")
