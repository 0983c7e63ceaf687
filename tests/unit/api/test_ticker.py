"""Tickers, one and all."""

from tests.unit.api.stack import Stack, problem


async def test_ticker_of_an_instrument(stack: Stack) -> None:
    ticker = (await stack.client.get("/v1/ticker/BTC-USD")).json()
    assert (ticker["symbol"], ticker["last"], ticker["volume_24h"], ticker["as_of_seq"]) == ("BTC-USD", None, "0", 90)


async def test_tickers_of_all_instruments(stack: Stack) -> None:
    page = (await stack.client.get("/v1/ticker")).json()
    assert [ticker["symbol"] for ticker in page["data"]] == ["BTC-USD"]


async def test_unlisted_instrument_is_404(stack: Stack) -> None:
    assert problem(await stack.client.get("/v1/ticker/NOPE")).code == "unknown_symbol"
