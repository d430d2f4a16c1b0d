"""Every refusal as RFC 9457 `application/problem+json` with a stable `code` and the `request_id`."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.access import request_id
from morpheus_kit import logs
from morpheus_kit.errors import FieldViolation, MorpheusError

log = logs.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"
_CODES = {404: "not_found", 405: "method_not_allowed"}


def install(app: FastAPI) -> None:
    """Makes the application answer every error this way."""
    app.add_exception_handler(MorpheusError, _ours)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(Exception, _unforeseen)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    violations: tuple[FieldViolation, ...] = (),
    retry_after: float | None = None,
) -> Response:
    """The response of a refusal. `retry_after` in seconds."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id(),
    }
    if violations:
        body["errors"] = [{"path": item.path, "reason": item.reason} for item in violations]
    headers = {}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["retry-after"] = str(max(1, math.ceil(retry_after or 1)))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)


def of_error(error: MorpheusError) -> Response:
    """The response of one of our errors."""
    return problem(
        error.http_status, error.code, error.message, violations=error.violations, retry_after=error.retry_after
    )


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, MorpheusError)  # noqa: S101  what it is registered for
    return of_error(error)


async def _framework(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  what it is registered for
    response = problem(error.status_code, _CODES.get(error.status_code, "invalid_request"), str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _unforeseen(_: Request, error: Exception) -> Response:
    log.error("request_failed", request_id=request_id(), exc_info=error)
    return problem(500, "internal", "An error of ours; the log has it under the request_id.")


async def _parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  what it is registered for
    violations = tuple(
        FieldViolation(str(item["loc"][-1]), str(item["msg"])[:1].lower() + str(item["msg"])[1:])
        for item in error.errors()
    )
    text = "; ".join(f"{item.path}: {item.reason}" for item in violations)
    return problem(422, "invalid_request", text, violations=violations)
