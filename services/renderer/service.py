"""RPC adapter of the renderer. Slices pass through as bytes: only their group is parsed here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.errors import InvalidInputError
from services.renderer import wire
from services.renderer.catalog import LARGEST_TEMPLATE, Catalog, TemplateFailureError
from services.renderer.inspection import GIVEN, Inspector
from services.renderer.preview import Previewer
from services.renderer.slices import SliceRunner

SERVICE = "morpheus.renderer.v1.RendererService"
MOST_MESSAGES = 500
MOST_PATHS = 10
MOST_SECONDS = 900


class RendererService:
    """Translates calls; see the protos for their meaning."""

    def __init__(self, catalog: Catalog, slices: SliceRunner, inspector: Inspector, previewer: Previewer) -> None:
        self._catalog = catalog
        self._slices = slices
        self._inspector = inspector
        self._previewer = previewer

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the service; RenderMessages without (de)serializers, so that it gets and gives bytes."""
        handlers: dict[str, Any] = {
            "WarmTemplates": grpc.unary_unary_rpc_method_handler(
                self.WarmTemplates,
                request_deserializer=renderer_pb2.WarmTemplatesRequest.FromString,
                response_serializer=renderer_pb2.WarmTemplatesResponse.SerializeToString,
            ),
            "RenderMessages": grpc.unary_stream_rpc_method_handler(self.RenderMessages),
            "PreviewMessages": grpc.unary_stream_rpc_method_handler(
                self.PreviewMessages,
                request_deserializer=renderer_pb2.PreviewMessagesRequest.FromString,
                response_serializer=renderer_pb2.PreviewMessagesResponse.SerializeToString,
            ),
            "ValidateTemplate": grpc.unary_unary_rpc_method_handler(
                self.ValidateTemplate,
                request_deserializer=renderer_pb2.ValidateTemplateRequest.FromString,
                response_serializer=renderer_pb2.ValidateTemplateResponse.SerializeToString,
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def WarmTemplates(
        self, request: renderer_pb2.WarmTemplatesRequest, context: Any
    ) -> renderer_pb2.WarmTemplatesResponse:
        """Versions, or the failure."""
        if not 1 <= len(request.paths) <= MOST_PATHS:
            raise InvalidInputError.of("paths", f"between 1 and {MOST_PATHS} paths")
        try:
            return renderer_pb2.WarmTemplatesResponse(versions=await self._catalog.warm(request.paths))
        except TemplateFailureError as exc:
            return renderer_pb2.WarmTemplatesResponse(failure=renderer_pb2.Failure(code=exc.code, text=exc.text))

    async def RenderMessages(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Serialized chunks."""
        _check_deadline(context)
        try:
            packed_group, messages = wire.split(request)
            group = renderer_pb2.GroupContent.FromString(packed_group)
        except (ValueError, DecodeError) as exc:
            raise InvalidInputError("This is not a RenderMessagesRequest.") from exc
        async with aclosing(self._render(group, packed_group, messages)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def PreviewMessages(
        self, request: renderer_pb2.PreviewMessagesRequest, context: Any
    ) -> AsyncIterator[renderer_pb2.PreviewMessagesResponse]:
        """The same without what nobody looks at."""
        _check_deadline(context)
        messages = [message.SerializeToString() for message in request.messages]
        with_bodies = {message.id for message in request.messages[: request.bodies]}
        text_message = not request.group.outer_template
        async with aclosing(self._render(request.group, request.group.SerializeToString(), messages)) as chunks:
            async for chunk in chunks:
                # In a thread: long texts take long to be measured, and others' slices pass through here.
                yield await asyncio.to_thread(
                    self._previewer.of_chunk, chunk, text_message=text_message, with_bodies=with_bodies
                )

    async def _render(
        self, group: renderer_pb2.GroupContent, packed_group: bytes, messages: Sequence[bytes]
    ) -> AsyncGenerator[bytes, None]:
        if len(messages) > MOST_MESSAGES:
            raise InvalidInputError.of("messages", f"at most {MOST_MESSAGES} a slice")
        try:
            if group.versions:
                await self._catalog.ensure(group.versions)
            else:
                versions = await self._catalog.warm(filter(None, [group.outer_template, group.inner_template]))
                # Appended fields merge into the group: it need not be packed again.
                packed_group += renderer_pb2.GroupContent(versions=versions).SerializeToString()
        except TemplateFailureError as exc:
            yield _all_failed(messages, exc)
            return
        owner = f"{group.company_code}/{group.group_id}"
        async with aclosing(self._slices.run(packed_group, messages, owner)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def ValidateTemplate(
        self, request: renderer_pb2.ValidateTemplateRequest, context: Any
    ) -> renderer_pb2.ValidateTemplateResponse:
        """What it needs, uses and gets wrong."""
        source = request.source.encode() if request.HasField("source") else None
        if not request.path:
            raise InvalidInputError.of("path", "is required")
        if source is not None and len(source) > LARGEST_TEMPLATE:
            raise InvalidInputError.of("source", f"at most {LARGEST_TEMPLATE} bytes")
        report = await self._inspector.inspect(request.path, source)
        read = report.variables()
        answer = renderer_pb2.ValidateTemplateResponse(
            variables=sorted(read - GIVEN), given_variables=sorted(read & GIVEN)
        )
        for path, (version, description) in report.used.items():
            used = answer.templates.add(path=path, version=version)
            for each in description.references:
                used.references.add(kind=each.kind, names=each.names, line=each.line, optional=each.optional)
        for fault in report.faults:
            answer.errors.add(code=fault.code, path=fault.path, line=fault.line, text=fault.text)
        return answer


def _check_deadline(context: Any) -> None:
    """What a caller does not read is held for it: not for ever."""
    seconds = context.time_remaining()
    if seconds is None or seconds > MOST_SECONDS:
        raise InvalidInputError.of("deadline", f"one of at most {MOST_SECONDS} seconds is required")


def _all_failed(messages: Sequence[bytes], error: TemplateFailureError) -> bytes:
    response = renderer_pb2.RenderMessagesResponse()
    for message in messages:
        answer = response.messages.add(id=renderer_pb2.MessageContent.FromString(message).id)
        answer.failure.code, answer.failure.text = error.code, error.text
    return response.SerializeToString()
