"""The renderer as a preview sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import grpc
import grpc.aio
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from morpheus_kit.contents import message_content
from morpheus_kit.errors import ThrottledError, UnavailableError
from morpheus_kit.queue.schema import QueuedMessage
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.status import from_rpc_error

_WARM_SECONDS = 30.0
_SLICE_SECONDS = 120.0


class Renderer:
    """A client of RendererService, a part of the unit. Raises the kit's errors, UnavailableError where it is busy."""

    def __init__(self, address: str) -> None:
        """`host:port` or `dns:///name:port`."""
        self._address = address
        self._channel: grpc.aio.Channel | None = None
        self._stub: renderer_pb2_grpc.RendererServiceAsyncStub | None = None

    async def start(self) -> None:
        """Opens the channel; it connects when it is used."""
        self._channel = open_channel(self._address)
        self._stub = renderer_pb2_grpc.RendererServiceStub(self._channel)

    async def stop(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def pin(self, group: renderer_pb2.GroupContent) -> None:
        """Fills in present versions; what is missing or broken leaves them empty and fails the messages."""
        assert self._stub is not None  # noqa: S101  started before it is used
        paths = [path for path in (group.outer_template, group.inner_template) if path]
        try:
            warmed = await self._stub.WarmTemplates(
                renderer_pb2.WarmTemplatesRequest(paths=paths), timeout=_WARM_SECONDS
            )
        except grpc.RpcError as exc:
            raise _error(exc) from exc
        group.versions.update(warmed.versions)

    async def preview(
        self, group: renderer_pb2.GroupContent, messages: Sequence[QueuedMessage], unsubscribe_url: str, *, bodies: bool
    ) -> AsyncGenerator[renderer_pb2.PreviewedMessage]:
        """Each of at most 500 messages, in any order; `bodies`: with subject, HTML and text. All have the same link."""
        assert self._stub is not None  # noqa: S101  started before it is used
        contents = [message_content(each, unsubscribe_url) for each in messages]
        request = renderer_pb2.PreviewMessagesRequest(
            group=group, messages=contents, bodies=len(contents) if bodies else 0
        )
        try:
            async for response in self._stub.PreviewMessages(request, timeout=_SLICE_SECONDS):
                for message in response.messages:
                    yield message
        except grpc.RpcError as exc:
            raise _error(exc) from exc


def _error(exc: grpc.RpcError) -> Exception:
    error = from_rpc_error(exc)
    if isinstance(error, ThrottledError):
        return UnavailableError("The renderer is busy.", retry_after=error.retry_after)
    return error
