"""What a route may ask for, one `Annotated` alias each. All are coroutines: none costs a thread.

None depends on another: FastAPI walks through all that a dependency depends on each time it is asked for, also when
it has the value already. Authentication comes before decoding, so a stranger learns nothing about bodies.
`RequireScope` is also what the API document reads a route's security from.
"""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from app.api.body import raw_body
from app.api.rate_limits import admit_stranger, identify
from app.api.services import Services
from app.auth.api_keys import ApiKeys
from app.auth.login import LoginService
from app.auth.replay import REPLAY_TTL_MS
from app.auth.signatures import canonical_signature
from app.domain.identity import Principal
from app.errors import ApiError, BusUnavailable
from app.protocol.ports import Administration, Instruments, MarketData, OrderEntry

KEY_HEADER = "x-api-key"
SIGNATURE_HEADER = "x-api-signature"
TIMESTAMP_HEADER = "x-api-timestamp"
WINDOW_HEADER = "x-api-recv-window"
_CREDENTIAL_HEADERS = ("authorization", KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WINDOW_HEADER)


def services_of(request: Request) -> Services:
    """Return what the application was created with."""
    value: Services = request.app.state.services
    return value


async def _services(request: Request) -> Services:
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]


async def _order_entry(request: Request) -> OrderEntry:
    return services_of(request).order_entry


async def _administration(request: Request) -> Administration:
    return services_of(request).administration


async def _market_data(request: Request) -> MarketData:
    return services_of(request).market_data


async def _instruments(request: Request) -> Instruments:
    return services_of(request).instruments


async def _login(request: Request) -> LoginService:
    return services_of(request).login


async def _api_keys(request: Request) -> ApiKeys:
    return services_of(request).api_keys


OrderEntryDep = Annotated[OrderEntry, Depends(_order_entry)]
AdministrationDep = Annotated[Administration, Depends(_administration)]
MarketDataDep = Annotated[MarketData, Depends(_market_data)]
InstrumentsDep = Annotated[Instruments, Depends(_instruments)]
LoginDep = Annotated[LoginService, Depends(_login)]
ApiKeysDep = Annotated[ApiKeys, Depends(_api_keys)]


def request_target(request: Request) -> str:
    """Return path and query as they were sent, byte for byte (as Latin-1 text); no `?` without a query."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def client_address(request: Request) -> str | None:
    """Return the address of the other end, as the server was told to trust it."""
    return request.client.host if request.client else None


async def authenticated(request: Request) -> Principal:
    """Return who sent the request, by access token or by signature, and count it. Raises ApiError."""
    try:
        principal = await _verified(request, services_of(request), await raw_body(request))
    except ApiError:
        identify(request, None)
        raise
    identify(request, principal)
    return principal


async def _verified(request: Request, given: Services, raw: bytes) -> Principal:
    """Return who sent the request. Raises ApiError."""
    headers = request.headers
    if any(len(headers.getlist(name)) > 1 for name in _CREDENTIAL_HEADERS):
        raise ApiError("unauthenticated", "Each credential header may come once.")
    authorization, key = headers.get("authorization"), headers.get(KEY_HEADER)
    if authorization is not None and key is not None:
        raise ApiError("unauthenticated", "Expected an access token or an API key, not both.")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError("unauthenticated", "Expected Authorization: Bearer and an access token.")
        return await given.authenticator.by_token(token)
    timestamp, signature = headers.get(TIMESTAMP_HEADER), headers.get(SIGNATURE_HEADER)
    if key is None or timestamp is None or signature is None:
        raise ApiError("unauthenticated", "Expected an access token, or an API key with timestamp and signature.")
    if not given.api_keys.has_seen(key):
        admit_stranger(request)
    return await given.authenticator.by_signature(
        key=key,
        timestamp=timestamp,
        recv_window=headers.get(WINDOW_HEADER),
        signature=signature,
        method=request.method,
        target=request_target(request),
        body=raw,
        address=client_address(request),
    )


CurrentPrincipal = Annotated[Principal, Depends(authenticated)]


class RequireScope:
    """Dependency that lets in who holds a scope."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Principal:
        """Return the caller. Raises ApiError `missing_scope`."""
        principal = await authenticated(request)
        if self.scope not in principal.scopes:
            raise ApiError("missing_scope", f"The credentials lack the scope {self.scope!r}.")
        return principal


Reader = Annotated[Principal, Depends(RequireScope("read"))]
Trader = Annotated[Principal, Depends(RequireScope("trade"))]
Mover = Annotated[Principal, Depends(RequireScope("transfer"))]
Admin = Annotated[Principal, Depends(RequireScope("admin"))]


class SignatureOnce:
    """Spends the request's signature: for writes that sending again would do again.

    Access tokens have no signature to spend; who can read them off the wire needs no replay.
    """

    def __init__(self, request: Request, given: Services) -> None:
        self._signature = request.headers.get(SIGNATURE_HEADER)
        self._guard = given.replay_guard

    async def spend(self, principal: Principal, *, fail_closed: bool) -> None:
        """Refuse a signature that was used before.

        Without Redis, `fail_closed` refuses (money, keys) and otherwise the write goes on (orders).
        Raises ApiError `replayed_request` or `service_unavailable`.
        """
        if principal.key_id is None or self._signature is None:
            return
        try:
            first = await self._guard.first_use(principal.key_id, canonical_signature(self._signature), REPLAY_TTL_MS)
        except BusUnavailable as error:
            if fail_closed:
                detail = "Replays cannot be told apart right now: Redis does not answer."
                raise ApiError("service_unavailable", detail, retry_after_ms=error.retry_after_ms) from error
            return
        if not first:
            raise ApiError("replayed_request", "This signature was used before; sign the request anew.")


async def _signature_once(request: Request) -> SignatureOnce:
    return SignatureOnce(request, services_of(request))


SignatureOnceDep = Annotated[SignatureOnce, Depends(_signature_once)]
