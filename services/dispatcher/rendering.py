"""The renderer as the sender sees it: a slice in, rendered messages out as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.contents import message_content
from morpheus_kit.renderer import RendererClient, renderer_errors
from services.dispatcher.results import Held

_MIN_DEADLINE = 30.0
_MAX_DEADLINE = 600.0


class Renderer(RendererClient):
    """Renders slices."""

    def __init__(self, address: str, render_timeout: float) -> None:
        """`render_timeout`: seconds that the renderer allows one message."""
        super().__init__(address)
        self._render_timeout = render_timeout

    async def render(
        self, group: renderer_pb2.GroupContent, held: Sequence[Held]
    ) -> AsyncGenerator[Sequence[renderer_pb2.RenderedMessage]]:
        """Rendered or failed messages in chunks of about 1 MiB, in any order."""
        heavy = sum(1 for each in held if each.message.pdfs or each.message.files)
        deadline = min(_MIN_DEADLINE + heavy * self._render_timeout, _MAX_DEADLINE)
        contents = [message_content(each.message, each.unsubscribe_url) for each in held]
        request = renderer_pb2.RenderMessagesRequest(group=group, messages=contents)
        with renderer_errors():
            async for response in self._stub.RenderMessages(request, timeout=deadline):
                yield response.messages
