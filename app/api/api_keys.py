"""`/v1/api-keys`: an account's keys for its programs."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.body import JsonBody
from app.api.dependencies import ApiKeysDep, CurrentPrincipal, Reader, SignatureOnceDep
from app.api.identifiers import KeyIdPath
from app.api.openapi import answer
from app.api.query import NoQuery
from app.auth.api_keys import CreatedKey, KeyShape
from app.protocol import schemas

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])
KeyBody = Annotated[schemas.ApiKeyRequest, Depends(JsonBody(schemas.ApiKeyRequest))]


class KeysAnswer(msgspec.Struct):
    """All keys of an account, newest first. Keys are not journaled, so there is no sequence to state."""

    data: list[KeyShape]
    next_cursor: None = None


@router.post("", openapi_extra=answer(CreatedKey, 201))
async def create_api_key(
    principal: CurrentPrincipal, _: NoQuery, body: KeyBody, keys: ApiKeysDep, signature: SignatureOnceDep
) -> Response:
    """Create a key that can do no more than the caller; its secret is shown this once."""
    await signature.spend(principal, fail_closed=True)
    return json_answer(await keys.create(principal, body), 201)


@router.get("", openapi_extra=answer(KeysAnswer))
async def list_api_keys(principal: Reader, _: NoQuery, keys: ApiKeysDep) -> Response:
    """List the account's keys, revoked ones too, without their secrets."""
    return json_answer(KeysAnswer(await keys.of_account(principal.account_id)))


@router.delete("/{key_id}", openapi_extra=answer(KeyShape))
async def revoke_api_key(principal: CurrentPrincipal, key_id: KeyIdPath, _: NoQuery, keys: ApiKeysDep) -> Response:
    """Revoke a key for good; every replica refuses it, and closes the streams it opened, within 5 s."""
    return json_answer(await keys.revoke(principal, key_id))
