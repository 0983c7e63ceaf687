"""From an administrative body to its command."""

import pytest

from app.domain.commands import (
    Command,
    CreateInstrument,
    SetFeeTiers,
    SetLimits,
    SetReference,
    Transfer,
    UpdateAccount,
    UpdateInstrument,
)
from app.domain.enums import AccountStatus, InstrumentStatus, OrderType, RejectReason
from app.domain.events import Rejection
from app.domain.outcomes import Outcome
from app.errors import ApiError
from app.gateway.administration import AdministrationGateway
from app.protocol.admin_schemas import (
    AccountEditRequest,
    FeeTier,
    FeeTiersRequest,
    InstrumentEditRequest,
    InstrumentFilters,
    InstrumentRequest,
    LimitChanges,
    LimitsRequest,
    MoveRequest,
    ReferenceRequest,
)
from app.protocol.field_rules import CLOSED_FOR_GOOD
from tests.unit.gateway.test_orders import BTC, OneInstrument, ScriptedLink

MINUTE_NS = 60_000_000_000


class Administered:
    """A gateway, and what it submitted."""

    def __init__(self) -> None:
        self._link = ScriptedLink(Outcome(9, 1, instrument=BTC))
        self.gateway = AdministrationGateway(self._link, OneInstrument())  # type: ignore[arg-type]  # a link by shape

    @property
    def submitted(self) -> list[Command]:
        return self._link.submitted


async def test_breaker_auction_and_session_of_a_new_instrument_become_nanoseconds() -> None:
    administered = Administered()
    body = InstrumentRequest(
        "N-USD",
        "BTC",
        "USD",
        "0.01",
        "0.1",
        breaker_move="0.05",
        breaker_window_ms=60_000,
        breaker_halt_ms=120_000,
        auction_ms=60_000,
        session_close_ms=60_000,
    )
    await administered.gateway.create_instrument(body)
    assert administered.submitted == [
        CreateInstrument(
            "N-USD",
            "BTC",
            "USD",
            "0.01",
            "0.1",
            breaker_move=5_000_000,
            breaker_window_ns=MINUTE_NS,
            breaker_halt_ns=2 * MINUTE_NS,
            auction_ns=MINUTE_NS,
            session_close_ns=MINUTE_NS,
        )
    ]


async def test_an_edit_names_what_it_changes_in_the_engines_integers() -> None:
    administered = Administered()
    filters = InstrumentFilters(
        max_quantity="2", reference_price="99.5", breaker_move=None, breaker_halt_ms=None, auction_ms=60_000
    )
    body = InstrumentEditRequest(InstrumentStatus.AUCTION, filters, order_types=[OrderType.LIMIT])
    await administered.gateway.edit_instrument("BTC-USD", body)
    changes = {
        "max_quantity": 200_000_000,
        "reference_price": 9_950,
        "breaker_move": None,
        "breaker_halt_ns": None,
        "auction_ns": MINUTE_NS,
    }
    assert administered.submitted == [
        UpdateInstrument("BTC-USD", InstrumentStatus.AUCTION, changes, (OrderType.LIMIT,))
    ]


async def test_limits_are_named_as_the_engine_names_them() -> None:
    administered = Administered()
    await administered.gateway.set_limits(
        LimitsRequest(open_orders=5, duplicate_window_ms=2_000, order_notional="123", daily_loss=None, tier="gold")
    )
    assert administered.submitted == [
        SetLimits(
            {"duplicate_window_ns": "2000000000", "open_orders": "5", "order_notional": "123", "daily_loss": None},
            "gold",
        )
    ]


async def test_an_account_is_changed_only_where_the_body_names_it() -> None:
    administered = Administered()
    edit = administered.gateway.edit_account
    await edit(1001, AccountEditRequest(status=AccountStatus.REDUCE_ONLY))
    await edit(1001, AccountEditRequest(tier=None, stp_group=None, restricted=[]))
    await edit(
        1001,
        AccountEditRequest(
            tier="gold",
            limits=LimitChanges(open_orders=None),
            stp_group=7,
            restricted=["BTC-USD"],
            release_throttle=True,
        ),
    )
    assert administered.submitted == [
        UpdateAccount(1001, AccountStatus.REDUCE_ONLY),
        UpdateAccount(1001, tier="", stp_group=0, restricted=()),
        UpdateAccount(
            1001, tier="gold", limits={"open_orders": None}, stp_group=7, restricted=("BTC-USD",), release_throttle=True
        ),
    ]


async def test_fee_tiers_reference_and_transfer_become_units_and_ticks() -> None:
    administered = Administered()
    gateway = administered.gateway
    await gateway.set_fee_tiers(
        FeeTiersRequest("USD", [FeeTier("0", "0", "0.001"), FeeTier("1.5", "-0.0001", "0.0005")])
    )
    await gateway.set_reference("BTC-USD", ReferenceRequest("100.25"))
    await gateway.transfer(1001, MoveRequest("1002", "USD", "2.5", "t1"))
    assert administered.submitted == [
        SetFeeTiers("USD", (("0", 0, 100_000), ("15000000000", -10_000, 50_000))),
        SetReference("BTC-USD", 10_025),
        Transfer(1001, 1002, "USD", "25000000000", "t1"),
    ]


@pytest.mark.parametrize(
    ("call", "code", "field"),
    [
        (lambda gateway: gateway.transfer(1001, MoveRequest("9" * 19, "USD", "1", "t")), "not_found", "to_account_id"),
        (lambda gateway: gateway.transfer(1001, MoveRequest("1002", "EUR", "1", "t")), "invalid_request", "asset"),
        (lambda gateway: gateway.set_reference("NOPE", ReferenceRequest("1")), "unknown_symbol", None),
        (lambda gateway: gateway.set_reference("BTC-USD", ReferenceRequest("1.001")), "invalid_price_tick", "price"),
        (
            lambda gateway: gateway.set_fee_tiers(FeeTiersRequest("USD", [FeeTier("0.00000000001", "0", "0")])),
            "invalid_request",
            "tiers[0].volume",
        ),
    ],
)
async def test_what_has_no_integers_never_reaches_the_engine(call: object, code: str, field: str | None) -> None:
    administered = Administered()
    with pytest.raises(ApiError) as caught:
        await call(administered.gateway)  # type: ignore[operator]  # each row is a call
    assert (caught.value.code, caught.value.field, administered.submitted) == (code, field, [])


@pytest.mark.parametrize(
    ("reason", "detail"),
    [
        (RejectReason.NOT_FOUND, "One of the two accounts does not exist."),
        (RejectReason.INSUFFICIENT_BALANCE, "The available balance does not cover it"),
        (RejectReason.INSTRUMENT_NOT_OPEN, CLOSED_FOR_GOOD),
    ],
)
async def test_a_refusal_says_what_is_wrong_with_this_command(reason: RejectReason, detail: str) -> None:
    link = ScriptedLink(Outcome(9, 1, Rejection(reason)))
    gateway = AdministrationGateway(link, OneInstrument())  # type: ignore[arg-type]  # a link by shape
    with pytest.raises(ApiError) as caught:
        await gateway.transfer(1001, MoveRequest("1002", "USD", "5", "t-1"))
    assert (caught.value.code, caught.value.detail) == (reason.value, detail)
