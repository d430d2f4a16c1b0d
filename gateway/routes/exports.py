"""The list of messages as a file of any size: read, written and sent chunk by chunk."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc.aio
import msgspec
from fastapi import APIRouter, Depends
from fastapi.responses import Response, StreamingResponse
from morpheus.tracker.v1 import tracker_pb2

from gateway import shapes
from gateway.auth import Reader, only_parameters
from gateway.routes.groups import Backend
from gateway.routes.messages import LIST_FILTERS, MessageFilters
from gateway.services import CALL_SECONDS
from morpheus_kit import logs
from morpheus_kit.rpc.status import from_rpc_error

router = APIRouter(tags=["messages"])
log = logs.get_logger(__name__)
_EXPORT_SECONDS = 3600.0
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_COLUMNS = tuple(shapes.message_item(tracker_pb2.Message()))


@router.get(
    "/v1/messages.csv",
    dependencies=[Depends(only_parameters(*LIST_FILTERS))],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    summary="The list as CSV",
)
async def export_csv(caller: Reader, services: Backend, filters: MessageFilters) -> Response:
    """RFC 4180. Tags are joined by `;`, maps are JSON; `'` stands before what a spreadsheet would run."""
    call = services.tracker.ExportMessages(filters.export_request(caller.company_code), timeout=_EXPORT_SECONDS)
    return await _stream(call, csv_rows, header(), "text/csv; charset=utf-8; header=present", "messages.csv")


@router.get(
    "/v1/messages.ndjson",
    dependencies=[Depends(only_parameters(*LIST_FILTERS))],
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    summary="The list as JSON, one message a line",
)
async def export_ndjson(caller: Reader, services: Backend, filters: MessageFilters) -> Response:
    """Each line is an item of the list."""
    call = services.tracker.ExportMessages(filters.export_request(caller.company_code), timeout=_EXPORT_SECONDS)
    return await _stream(call, json_rows, b"", "application/x-ndjson", "messages.ndjson")


async def _stream(call: Any, write: Callable[[Any], bytes], head: bytes, media_type: str, name: str) -> Response:
    """The first chunk is awaited, so that a refusal is an ordinary one."""
    chunks = aiter(call)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            first = await anext(chunks, None)
    except grpc.aio.AioRpcError as exc:
        raise from_rpc_error(exc) from exc
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return StreamingResponse(_written(head, first, chunks, call, write), media_type=media_type, headers=headers)


async def _written(
    head: bytes, first: Any, chunks: AsyncIterator[Any], call: Any, write: Callable[[Any], bytes]
) -> AsyncIterator[bytes]:
    """What breaks off is left unfinished on the wire too, so that no client takes a part for the whole."""
    try:
        yield head + (write(first.messages) if first is not None else b"")
        async for chunk in chunks:
            yield write(chunk.messages)
    except grpc.aio.AioRpcError as exc:
        log.warning("export_broken_off", error=str(exc.code()))
        raise from_rpc_error(exc) from exc
    finally:
        call.cancel()


def json_rows(messages: Any) -> bytes:
    """One line a message."""
    return b"".join([shapes.encode(shapes.message_item(message)) + b"\n" for message in messages])


def header() -> bytes:
    """The names of the columns: the fields of a list item, in their order."""
    return _lines(iter([_COLUMNS]))


def csv_rows(messages: Any) -> bytes:
    """One record a message."""
    return _lines([_cell(value) for value in shapes.message_item(message).values()] for message in messages)


def _lines(rows: Iterator[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str | int:
    if value is None:
        return ""
    if isinstance(value, str):
        return _inert(value)
    if isinstance(value, int):
        return value
    if isinstance(value, list):
        # Where spreadsheets take a semicolon for the end of a cell, each tag would be one.
        return ";".join([_inert(item) for item in value])
    text = shapes.encode(value).decode()
    return text if isinstance(value, dict) else msgspec.json.decode(text)


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_RUN_BY_SPREADSHEETS) else text
