"""The FastAPI application of one replica, made from what it is given; nothing global, nothing started.

`bootstrap` wires the services and serves the application; tests hand in fakes.
"""

from fastapi import FastAPI
from starlette.routing import WebSocketRoute

from app import __version__
from app.api import (
    account,
    account_events,
    admin,
    admin_accounts,
    admin_reads,
    api_keys,
    auth,
    balances,
    docs_page,
    fees,
    fills,
    funds,
    health,
    instruments,
    ledger,
    limits,
    order_lists,
    orderbook,
    orders,
    positions,
    problems,
    ticker,
    time_status,
    trades,
)
from app.api.edge import Edge
from app.api.services import Services

__all__ = ["Services", "create_app"]

STREAM_PATH = "/v1/stream"
_ROUTERS = (
    # The busiest first: routes are tried in order.
    orders.router,
    order_lists.router,
    orderbook.router,
    ticker.router,
    trades.router,
    fills.router,
    balances.router,
    positions.router,
    ledger.router,
    account_events.router,
    limits.router,
    fees.router,
    account.router,
    instruments.router,
    time_status.router,
    auth.router,
    api_keys.router,
    funds.router,
    admin.router,
    admin_accounts.router,
    admin_reads.router,
    health.router,
    docs_page.router,
)


def create_app(services: Services) -> FastAPI:
    """Return the application. It owns none of the services: who made them ends them."""
    app = FastAPI(
        title="Orderwire",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_middleware(Edge, rate_limits=services.rate_limits)
    problems.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    if services.stream is not None:
        app.router.routes.append(WebSocketRoute(STREAM_PATH, services.stream))
    return app
