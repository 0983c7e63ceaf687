"""`/v1/auth`: people register, log in, refresh and log out."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.body import JsonBody
from app.api.dependencies import LoginDep
from app.api.openapi import answer
from app.api.query import NoQuery
from app.auth.login import TokenPair
from app.protocol import schemas

router = APIRouter(prefix="/v1/auth", tags=["authentication"])
LoginBody = Annotated[schemas.LoginRequest, Depends(JsonBody(schemas.LoginRequest))]
RefreshBody = Annotated[schemas.RefreshRequest, Depends(JsonBody(schemas.RefreshRequest))]


class RegisteredAnswer(msgspec.Struct):
    """A new user's account."""

    account_id: str
    engine_seq: int


class LoggedOutAnswer(msgspec.Struct):
    """The session has ended."""

    status: str


@router.post("/register", openapi_extra=answer(RegisteredAnswer, 201))
async def register(_: NoQuery, body: LoginBody, login: LoginDep) -> Response:
    """Open an account for a new user."""
    account_id, engine_seq = await login.register(body.email, body.password)
    return json_answer(RegisteredAnswer(str(account_id), engine_seq), 201)


@router.post("/login", openapi_extra=answer(TokenPair))
async def log_in(_: NoQuery, body: LoginBody, login: LoginDep) -> Response:
    """Exchange email and password for an access token and a refresh token."""
    return json_answer(await login.login(body.email, body.password))


@router.post("/refresh", openapi_extra=answer(TokenPair))
async def refresh(_: NoQuery, body: RefreshBody, login: LoginDep) -> Response:
    """Exchange a refresh token for new tokens; using an old one again ends the session."""
    return json_answer(await login.refresh(body.refresh_token))


@router.post("/logout", openapi_extra=answer(LoggedOutAnswer))
async def log_out(_: NoQuery, body: RefreshBody, login: LoginDep) -> Response:
    """End the session of a refresh token; its access tokens live out their minutes."""
    await login.logout(body.refresh_token)
    return json_answer(LoggedOutAnswer("logged_out"))
