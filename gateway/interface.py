"""`/openapi.json`: the framework's routes, and the shapes of their bodies, answers and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec
from fastapi import FastAPI

from gateway import interface_posts as posted
from gateway import interface_shapes as described

_ANSWERS: dict[str, type] = {
    "POST /v1/groups": posted.Accepted,
    "POST /v1/preview": posted.Preview,
    "GET /v1/groups": described.Groups,
    "GET /v1/groups/{group_id}": described.Group,
    "POST /v1/groups/{group_id}/pause": described.Controlled,
    "POST /v1/groups/{group_id}/resume": described.Controlled,
    "POST /v1/groups/{group_id}/cancel": described.Controlled,
    "POST /v1/groups/{group_id}/retry": described.Retried,
    "POST /v1/messages/{message_id}/resend": described.Resent,
    "GET /v1/messages": described.Messages,
    "GET /v1/messages/{message_id}": described.MessageDetail,
    "GET /v1/stats": described.StatisticsList,
    "GET /v1/costs": described.CostSums,
    "GET /v1/events": described.Feed,
    "GET /v1/providers": described.Providers,
    "POST /v1/providers/{name}/pause": described.Provider,
    "POST /v1/providers/{name}/resume": described.Provider,
    "GET /v1/suppressions": described.Suppressions,
    "POST /v1/suppressions": described.Suppression,
    "DELETE /v1/suppressions": described.Removed,
    "POST /v1/erasures": described.Erased,
    "GET /healthz": described.Alive,
    "GET /readyz": described.Ready,
}
_PLACE = "#/components/schemas/{name}"
_DESCRIPTIONS = {"200": "Answered.", "201": "Made.", "202": "Durably queued."}


def describe(app: FastAPI) -> None:
    """Puts the shapes into the application's OpenAPI document, in place of what the framework guesses."""
    guess: Callable[[], dict[str, Any]] = app.openapi
    found: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not found:
            found.append(_completed(guess()))
        return found[0]

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's documented way


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    shapes = [
        posted.Post,
        described.NewSuppression,
        described.NewErasure,
        described.Problem,
        described.Retry,
        *_ANSWERS.values(),
    ]
    _, schemas = msgspec.json.schema_components(shapes, ref_template=_PLACE)
    classes = vars(posted) | vars(described)
    for name, schema in schemas.items():
        # In the order of their declarations, which is that of the documentation.
        properties = schema["properties"]
        schema["properties"] = {key: properties[key] for key in get_type_hints(classes[name])}
    document["components"]["schemas"] = schemas
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete(operation["responses"], _ANSWERS.get(f"{method.upper()} {path}"))
    post = document["paths"]["/v1/groups"]["post"]
    for each in (post, document["paths"]["/v1/preview"]["post"]):
        each["requestBody"]["content"]["application/msgpack"]["schema"] = _reference(posted.Post)
    retry = document["paths"]["/v1/groups/{group_id}/retry"]["post"]
    retry["requestBody"] = {"content": {"application/json": {"schema": _reference(described.Retry)}}}
    replayed = {**post["responses"]["202"], "description": "The same bytes were accepted before; nothing was changed."}
    post["responses"] = {"200": replayed, **post["responses"]}
    suppress = document["paths"]["/v1/suppressions"]["post"]["responses"]
    suppress["200"] = {**suppress["201"], "description": "It was suppressed before; nothing was changed."}
    return document


def _complete(responses: dict[str, Any], answer: type | None) -> None:
    responses.pop("422", None)
    for status, response in responses.items():
        response["description"] = _DESCRIPTIONS.get(status, response["description"])
        if answer is not None:
            response["content"] = {"application/json": {"schema": _reference(answer)}}
    responses["default"] = {
        "description": "Refused; RFC 9457.",
        "content": {"application/problem+json": {"schema": _reference(described.Problem)}},
    }


def _reference(shape: type) -> dict[str, str]:
    return {"$ref": _PLACE.format(name=shape.__name__)}
