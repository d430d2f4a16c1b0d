"""The renderer as the sender sees it: a slice in, rendered messages out as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import grpc
import grpc.aio
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from morpheus_kit.contents import message_content
from morpheus_kit.errors import ThrottledError, UnavailableError
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.status import from_rpc_error
from services.dispatcher.results import Held

_MIN_DEADLINE = 30.0
_MAX_DEADLINE = 600.0


class Renderer:
    """A client of RendererService. Raises the kit's errors."""

    def __init__(self, address: str, render_timeout: float) -> None:
        """`render_timeout`: seconds that the renderer allows one message."""
        self._address = address
        self._render_timeout = render_timeout
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

    async def warm(self, paths: Sequence[str]) -> renderer_pb2.WarmTemplatesResponse:
        """Loads templates; a missing one is named in the answer."""
        assert self._stub is not None  # noqa: S101  started before it is used
        try:
            return await self._stub.WarmTemplates(renderer_pb2.WarmTemplatesRequest(paths=paths), timeout=_MIN_DEADLINE)
        except grpc.RpcError as exc:
            raise from_rpc_error(exc) from exc

    async def render(
        self, group: renderer_pb2.GroupContent, held: Sequence[Held]
    ) -> AsyncGenerator[Sequence[renderer_pb2.RenderedMessage]]:
        """Rendered or failed messages in chunks of about 1 MiB, in any order. UnavailableError also when it is busy."""
        assert self._stub is not None  # noqa: S101  started before it is used
        heavy = sum(1 for each in held if each.message.pdfs or each.message.files)
        deadline = min(_MIN_DEADLINE + heavy * self._render_timeout, _MAX_DEADLINE)
        contents = [message_content(each.message, each.unsubscribe_url) for each in held]
        request = renderer_pb2.RenderMessagesRequest(group=group, messages=contents)
        try:
            async for response in self._stub.RenderMessages(request, timeout=deadline):
                yield response.messages
        except grpc.RpcError as exc:
            error = from_rpc_error(exc)
            raise UnavailableError("The renderer is busy.") if isinstance(error, ThrottledError) else error from exc
