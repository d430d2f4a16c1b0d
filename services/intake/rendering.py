"""The renderer as a preview sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.contents import message_content
from morpheus_kit.queue.schema import QueuedMessage
from morpheus_kit.renderer import RendererClient, renderer_errors

_SLICE_SECONDS = 120.0


class Renderer(RendererClient):
    """Renders slices to be looked at."""

    async def pin(self, group: renderer_pb2.GroupContent) -> None:
        """Fills in present versions; what is missing or broken leaves them empty and fails the messages."""
        warmed = await self.warm([path for path in (group.outer_template, group.inner_template) if path])
        group.versions.update(warmed.versions)

    async def preview(
        self, group: renderer_pb2.GroupContent, messages: Sequence[QueuedMessage], unsubscribe_url: str, *, bodies: bool
    ) -> AsyncGenerator[renderer_pb2.PreviewedMessage]:
        """Each of at most 500 messages, in any order; `bodies`: with subject, HTML and text. All have the same link."""
        contents = [message_content(each, unsubscribe_url) for each in messages]
        request = renderer_pb2.PreviewMessagesRequest(
            group=group, messages=contents, bodies=len(contents) if bodies else 0
        )
        with renderer_errors():
            async for response in self._stub.PreviewMessages(request, timeout=_SLICE_SECONDS):
                for message in response.messages:
                    yield message
