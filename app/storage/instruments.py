"""Queries of the instruments and assets projections."""

from typing import NamedTuple

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.instrument import Instrument
from app.storage.database import reading
from app.storage.tables import assets, instruments

_definition = msgspec.msgpack.Decoder(Instrument)


class AssetRow(NamedTuple):
    """An asset; one unit is 10**-scale."""

    asset: str
    scale: int


async def list_instruments(source: AsyncEngine | AsyncConnection) -> list[Instrument]:
    """Return all instruments by symbol."""
    query = select(instruments.c.definition).order_by(instruments.c.symbol)
    async with reading(source) as connection:
        return [_definition.decode(definition) for definition in await connection.scalars(query)]


async def list_assets(source: AsyncEngine | AsyncConnection) -> list[AssetRow]:
    """Return all assets by name."""
    query = select(assets.c.asset, assets.c.scale).order_by(assets.c.asset)
    async with reading(source) as connection:
        return [AssetRow(asset, scale) for asset, scale in await connection.execute(query)]
