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
    """Every operation with its parameters, by topic."""
    topics: dict[str, list[dict[str, Any]]] = {}
    for path, methods in request.app.openapi()["paths"].items():
        for method, operation in methods.items():
            entry = {"method": method.upper(), "path": path, **operation}
            topics.setdefault(operation.get("tags", ["other"])[0], []).append(entry)
    return pages.page("docs.html", topics=topics, outbox=hasattr(request.app.state, "mailbox"))
