"""`/healthz`, `/readyz` and `/metrics`: for orchestrators and scrapers, without credentials."""

from collections.abc import Mapping

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from app import metrics
from app.api.answers import json_answer
from app.api.dependencies import ServicesDep
from app.api.openapi import answer

router = APIRouter(tags=["operations"])
_UNCACHED = {"Cache-Control": "no-store"}


class HealthAnswer(msgspec.Struct):
    """The process is alive."""

    status: str


class ReadinessAnswer(msgspec.Struct):
    """Whether the replica may be sent requests, the mode of the exchange, and what each part says."""

    ready: bool
    mode: str
    reasons: Mapping[str, str]


@router.get("/healthz", openapi_extra=answer(HealthAnswer))
async def get_health() -> Response:
    """Say that the process is alive; touches nothing else."""
    return json_answer(HealthAnswer("ok"), headers=_UNCACHED)


@router.get("/readyz", openapi_extra=answer(ReadinessAnswer, 200, 503))
async def get_readiness(given: ServicesDep) -> Response:
    """Say whether the replica may be sent requests, with reasons."""
    status = given.status()
    answer_body = ReadinessAnswer(status.ready, status.mode.value, status.reasons)
    return json_answer(answer_body, 200 if status.ready else 503, headers=_UNCACHED)


@router.get("/metrics", include_in_schema=False)
async def get_metrics() -> Response:
    """Return the process's metrics in Prometheus text."""
    return Response(metrics.exposition(), headers=_UNCACHED | {"Content-Type": metrics.CONTENT_TYPE})
