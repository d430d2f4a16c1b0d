"""`/docs`: the OpenAPI document as one page, without anything from other sites; and where `/` leads."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway import pages

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    """To what a person most likely wants to see."""
    return RedirectResponse("/outbox" if hasattr(request.app.state, "mailbox") else "/docs")


@router.get("/pages/style.css")
async def style() -> Response:
    """The style of the pages."""
    return pages.style()


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Every operation with its parameters, body and answer, by topic."""
    document = request.app.openapi()
    schemas = document["components"]["schemas"]
    topics: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answer = next(iter(operation["responses"].values())).get("content", {}).get("application/json", {})
            body = operation.get("requestBody", {}).get("content", {}).get("application/msgpack", {})
            entry = {"method": method.upper(), "path": path, "body": _name(body), "answer": _name(answer), **operation}
            if (items := schemas.get(entry["answer"], {}).get("properties", {}).get("items")) is not None:
                entry["item"] = _name({"schema": items["items"]})
            topics.setdefault(operation.get("tags", ["other"])[0], []).append(entry)
    return pages.page("docs.html", topics=topics, schemas=schemas, outbox=hasattr(request.app.state, "mailbox"))


def _name(content: dict[str, Any]) -> str | None:
    """The schema that a content refers to."""
    reference: str = content.get("schema", {}).get("$ref", "")
    return reference.rpartition("/")[2] or None
