"""`/outbox`: every mail and text of the test method as it was sent, for people on this machine only."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from gateway import pages
from gateway.html_view import html_response
from gateway.mailbox import Mail, Mailbox
from morpheus_kit.errors import ForbiddenError, NotFoundError

_LOOPBACK_NAMES = frozenset(["localhost", "127.0.0.1", "[::1]"])


def loopback_only(request: Request) -> None:
    """A dependency: neither other machines nor, by a name that leads here, other web sites."""
    client = request.client.host if request.client else ""
    name = request.headers.get("host", "")
    name = name if name.endswith("]") else name.rpartition(":")[0] or name
    if not _is_loopback(client) or name.lower() not in _LOOPBACK_NAMES:
        raise ForbiddenError("The outbox is shown to this machine only.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


router = APIRouter(dependencies=[Depends(loopback_only)], include_in_schema=False)


def _mailbox(request: Request) -> Mailbox:
    mailbox: Mailbox = request.app.state.mailbox
    return mailbox


Box = Annotated[Mailbox, Depends(_mailbox)]
Tab = Literal["desktop", "phone", "text", "headers", "files"]


@router.get("/outbox")
async def outbox(
    box: Box, page: Annotated[int, Query(ge=1)] = 1, q: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """The list, newest first."""
    found = await asyncio.to_thread(box.page, page, q)
    return pages.page("outbox.html", page=found, q=q)


@router.get("/outbox/{mail_id}")
async def mail(box: Box, mail_id: str, tab: Tab = "desktop") -> Response:
    """One mail: body at two widths, text part, headers, attachments; or one text."""
    found = await _read(box, mail_id)
    return pages.page("text.html" if found.is_text else "mail.html", mail=found, tab=tab)


@router.get("/outbox/{mail_id}/html")
async def mail_html(box: Box, mail_id: str) -> Response:
    """The HTML part, as it goes into the frames."""
    found = await _read(box, mail_id)
    if found.is_text:
        raise NotFoundError("A text message has no HTML.")
    return html_response(found.html, safe=False)


@router.get("/outbox/{mail_id}/source")
async def mail_source(box: Box, mail_id: str) -> Response:
    """The bytes as sent."""
    found = await _read(box, mail_id)
    name = f"{mail_id}.{'txt' if found.is_text else 'eml'}"
    return _file(found.source, "text/plain; charset=utf-8", name, inline=True)


@router.get("/outbox/{mail_id}/attachments/{number}")
async def attachment(box: Box, mail_id: str, number: int) -> Response:
    """One file; a PDF is shown, anything else is saved."""
    found = await _read(box, mail_id)
    for item in found.attachments:
        if item.number == number:
            is_pdf = item.content_type == "application/pdf"
            return _file(
                item.content, item.content_type if is_pdf else "application/octet-stream", item.name, inline=is_pdf
            )
    raise NotFoundError("There is no such attachment.")


async def _read(box: Mailbox, mail_id: str) -> Mail:
    return await asyncio.to_thread(box.mail, mail_id)


def _file(content: bytes, media_type: str, name: str, *, inline: bool) -> Response:
    kind = "inline" if inline else "attachment"
    return Response(
        content,
        media_type=media_type,
        headers={
            "content-disposition": f"{kind}; filename*=UTF-8''{quote(name)}",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        },
    )
