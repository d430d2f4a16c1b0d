"""Messages: the list with all filters, one of them, its body."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import HTMLResponse, Response
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.auth import Reader, only_parameters
from gateway.html_view import html_response
from gateway.parameters import PageSize, PageToken, TimeParameter, timestamp
from gateway.routes.groups import Backend
from gateway.services import CALL_SECONDS, answer
from morpheus_kit.errors import InvalidInputError

router = APIRouter(tags=["messages"])
MessageId = Annotated[str, Path(min_length=1, max_length=64)]
LIST_FILTERS = (
    *("q", "group_id", "tag", "state", "reason", "method", "stream", "address", "external_id", "from", "to"),
)
_STATES = ", ".join(shapes.STATES)
State = Annotated[str | None, Query(description=f"One of {_STATES}.", json_schema_extra={"enum": list(shapes.STATES)})]


class Filters:
    """The parameters of the list; all of them must match."""

    def __init__(  # noqa: PLR0913, PLR0917  one argument a query parameter
        self,
        q: Annotated[
            str, Query(max_length=1024, description="Words that must all be in it, the last as a prefix.")
        ] = "",
        group_id: str = "",
        tag: Annotated[list[str], Query(description="Repeatable; all must match.")] = [],  # noqa: B006  FastAPI copies it
        state: State = None,
        reason: str = "",
        method: str = "",
        stream: str = "",
        address: str = "",
        external_id: str = "",
        since: Annotated[TimeParameter, Query(alias="from")] = None,
        until: Annotated[TimeParameter, Query(alias="to")] = None,
    ) -> None:
        """As FastAPI reads them. InvalidInputError."""
        if state and state not in shapes.STATES:
            raise InvalidInputError.of("state", f"must be one of {_STATES}")
        self._fields: dict[str, Any] = {
            "query": q,
            "group_id": group_id,
            "tags": tag,
            "state": state or "",
            "reason": reason,
            "method": method,
            "stream": stream,
            "address": address,
            "external_id": external_id,
            "from": timestamp("from", since),
            "to": timestamp("to", until),
        }

    def list_request(
        self, company_code: str, page_size: int = 0, page_token: str = ""
    ) -> tracker_pb2.ListMessagesRequest:
        """For one page."""
        return tracker_pb2.ListMessagesRequest(
            company_code=company_code, page_size=page_size, page_token=page_token, **self._fields
        )

    def export_request(self, company_code: str) -> tracker_pb2.ExportMessagesRequest:
        """For all of them."""
        return tracker_pb2.ExportMessagesRequest(filter=self.list_request(company_code))


MessageFilters = Annotated[Filters, Depends()]


@router.get(
    "/v1/messages",
    dependencies=[Depends(only_parameters(*LIST_FILTERS, "page_size", "page_token"))],
    summary="Messages, newest first",
)
async def list_messages(
    caller: Reader, services: Backend, filters: MessageFilters, page_size: PageSize = 50, page_token: PageToken = ""
) -> Response:
    """All filters must match; times are acceptance times, half-open."""
    query = filters.list_request(caller.company_code, page_size, page_token)
    found = await answer(services.tracker.ListMessages(query, timeout=CALL_SECONDS))
    items = [shapes.message_item(item) for item in found.messages]
    return shapes.json_response({"items": items, "next_page_token": found.next_page_token})


@router.get("/v1/messages/{message_id}", dependencies=[Depends(only_parameters())], summary="One message")
async def get_message(message_id: MessageId, caller: Reader, services: Backend) -> Response:
    """With bodies, context, attachments and events."""
    query = tracker_pb2.GetMessageRequest(company_code=caller.company_code, id=message_id)
    found = await answer(services.tracker.GetMessage(query, timeout=CALL_SECONDS))
    return shapes.json_response(shapes.message_detail(found.message))


@router.get(
    "/v1/messages/{message_id}/html",
    dependencies=[Depends(only_parameters("safe"))],
    response_class=HTMLResponse,
    summary="The body as sent",
)
async def get_html(
    message_id: MessageId,
    caller: Reader,
    services: Backend,
    *,
    safe: Annotated[bool, Query(description="1 makes links inert.")] = True,
) -> Response:
    """Under a policy that allows no script and no request but images."""
    query = tracker_pb2.GetMessageRequest(company_code=caller.company_code, id=message_id)
    found = await answer(services.tracker.GetMessage(query, timeout=CALL_SECONDS))
    return html_response(found.message.html, safe=safe)
