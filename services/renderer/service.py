"""RPC adapter of the renderer. Slices pass through as bytes: only their group is parsed here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.errors import InvalidInputError
from services.renderer import wire
from services.renderer.catalog import Catalog, TemplateFailureError
from services.renderer.slices import SliceRunner

SERVICE = "morpheus.renderer.v1.RendererService"
MOST_MESSAGES = 500
MOST_PATHS = 10


class RendererService:
    """Translates calls; see the protos for their meaning."""

    def __init__(self, catalog: Catalog, slices: SliceRunner) -> None:
        self._catalog = catalog
        self._slices = slices

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the service; RenderMessages without (de)serializers, so that it gets and gives bytes."""
        handlers: dict[str, Any] = {
            "WarmTemplates": grpc.unary_unary_rpc_method_handler(
                self.WarmTemplates,
                request_deserializer=renderer_pb2.WarmTemplatesRequest.FromString,
                response_serializer=renderer_pb2.WarmTemplatesResponse.SerializeToString,
            ),
            "RenderMessages": grpc.unary_stream_rpc_method_handler(self.RenderMessages),
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
        try:
            packed_group, messages = wire.split(request)
            group = renderer_pb2.GroupContent.FromString(packed_group)
        except (ValueError, DecodeError) as exc:
            raise InvalidInputError("This is not a RenderMessagesRequest.") from exc
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


def _all_failed(messages: list[bytes], error: TemplateFailureError) -> bytes:
    response = renderer_pb2.RenderMessagesResponse()
    for message in messages:
        answer = response.messages.add(id=renderer_pb2.MessageContent.FromString(message).id)
        answer.failure.code, answer.failure.text = error.code, error.text
    return response.SerializeToString()
