"""`/v1/withdrawals` and `/v1/transfers`: an account's own money, out and to another account."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import write_answer
from app.api.body import JsonBody
from app.api.dependencies import AdministrationDep, Mover, OrderEntryDep
from app.api.openapi import answer
from app.api.query import NoQuery
from app.domain.decimals import plain_text
from app.protocol import admin_schemas

router = APIRouter(prefix="/v1", tags=["account"])
TransferBody = Annotated[admin_schemas.TransferRequest, Depends(JsonBody(admin_schemas.TransferRequest))]
MoveBody = Annotated[admin_schemas.MoveRequest, Depends(JsonBody(admin_schemas.MoveRequest))]


class TransferAnswer(msgspec.Struct):
    """A deposit or withdrawal; `duplicate` says that the transfer_id had done it before."""

    account_id: str
    asset: str
    amount: str
    transfer_id: str
    duplicate: bool


class MoveAnswer(msgspec.Struct):
    """A transfer to another account; `duplicate` says that the transfer_id had done it before."""

    account_id: str
    to_account_id: str
    asset: str
    amount: str
    transfer_id: str
    duplicate: bool


@router.post("/withdrawals", openapi_extra=answer(TransferAnswer, 200, 201, adds="engine_seq"))
async def withdraw_own(
    principal: Mover, _: NoQuery, body: TransferBody, administration: AdministrationDep, entry: OrderEntryDep
) -> Response:
    """Take money out of the available balance; idempotent by transfer_id."""
    engine_seq, duplicate = await administration.withdraw(principal.account_id, body)
    entry.acknowledge(principal.account_id, engine_seq)
    return transfer_answer(principal.account_id, body, engine_seq, duplicate)


@router.post("/transfers", openapi_extra=answer(MoveAnswer, 200, 201, adds="engine_seq"))
async def transfer_own(
    principal: Mover, _: NoQuery, body: MoveBody, administration: AdministrationDep, entry: OrderEntryDep
) -> Response:
    """Move money of the available balance to another account; idempotent by transfer_id."""
    engine_seq, duplicate = await administration.transfer(principal.account_id, body)
    entry.acknowledge(principal.account_id, engine_seq)
    return move_answer(principal.account_id, body, engine_seq, duplicate)


def transfer_answer(account_id: int, body: admin_schemas.TransferRequest, engine_seq: int, duplicate: bool) -> Response:
    """Return the answer of a deposit or withdrawal: 201, or 200 when it was done before."""
    shape = TransferAnswer(str(account_id), body.asset, plain_text(body.amount), body.transfer_id, duplicate)
    return write_answer(shape, engine_seq, 200 if duplicate else 201)


def move_answer(account_id: int, body: admin_schemas.MoveRequest, engine_seq: int, duplicate: bool) -> Response:
    """Return the answer of a transfer: 201, or 200 when it was done before."""
    amount = plain_text(body.amount)
    shape = MoveAnswer(str(account_id), body.to_account_id, body.asset, amount, body.transfer_id, duplicate)
    return write_answer(shape, engine_seq, 200 if duplicate else 201)
