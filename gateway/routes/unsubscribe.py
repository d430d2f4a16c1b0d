"""`/u/{token}`: the link of a message by which a person gets no more of its stream.

Mail programs post to it by themselves (RFC 8058), people press its page's button. To look at it changes nothing, for
whoever checks mails for bad links looks at all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from morpheus.tracker.v1 import tracker_pb2

from gateway import pages
from gateway.routes.groups import Backend
from gateway.services import CALL_SECONDS, answer
from morpheus_kit.errors import NotFoundError, UnavailableError

# For people and mail programs; clients do not call it.
router = APIRouter(include_in_schema=False)


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
async def unsubscribe_page(token: str, services: Backend) -> Response:
    """The page with one button."""
    asked = tracker_pb2.GetUnsubscribeLinkRequest(token=token)
    return await _page("ask", services.tracker.GetUnsubscribeLink(asked, timeout=CALL_SECONDS))


@router.post("/u/{token}")
async def unsubscribe(token: str, services: Backend) -> Response:
    """Unsubscribes at once. What the body says does not matter: whoever posts means it."""
    asked = tracker_pb2.UnsubscribeRecipientRequest(token=token)
    return await _page("done", services.tracker.UnsubscribeRecipient(asked, timeout=CALL_SECONDS))


async def _page(shows: str, call: Awaitable[Any]) -> Response:
    """A page also where it is not possible: people see it."""
    try:
        stream = (await answer(call)).stream
    except NotFoundError:
        return pages.page("unsubscribe.html", 404, shows="unknown")
    except UnavailableError as exc:
        response = pages.page("unsubscribe.html", 503, shows="later")
        response.headers["retry-after"] = str(max(1, round(exc.retry_after or 1)))
        return response
    return pages.page("unsubscribe.html", shows=shows, stream=stream)
