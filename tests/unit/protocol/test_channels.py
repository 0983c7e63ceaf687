"""Names of channels: what is read, what is refused."""

import pytest

from app.errors import ApiError
from app.protocol.channels import PrivateChannel, PublicChannel, PublicKind, parse_channel


@pytest.mark.parametrize("name", ["ticker:BTC-USD", "orderbook:AAPL", "trades:A.B-1"])
def test_public_name_reads_and_writes_the_same(name: str) -> None:
    channel = parse_channel(name)
    assert isinstance(channel, PublicChannel)
    assert channel.name == name


def test_public_name_has_kind_and_symbol() -> None:
    assert parse_channel("orderbook:XAU-USD") == PublicChannel(PublicKind.ORDERBOOK, "XAU-USD")


@pytest.mark.parametrize("name", ["orders", "fills", "balances", "positions"])
def test_private_name_is_the_channel(name: str) -> None:
    assert parse_channel(name) is PrivateChannel(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "orderbook",
        "orderbook:",
        "orderbook:btc-usd",
        "orderbook:BTC USD",
        "orderbook:BTC-USD\n",
        "orderbook:BTC-USD:50",
        "orderbook:" + "A" * 21,
        "orderbook:ÄPFEL",
        "Orders",
        "orders:1",
        "candles:BTC-USD:1m",
        "status:BTC-USD",
    ],
)
def test_anything_else_is_an_unknown_channel(name: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_channel(name)
    assert refused.value.code == "unknown_channel"
    assert name not in refused.value.detail or name in ("", "orders", "orderbook", "orderbook:")
