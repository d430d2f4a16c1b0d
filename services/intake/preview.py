"""A part rendered as it would be sent: judged like a post, nothing queued or kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from morpheus.intake.v1.intake_pb2 import GroupHeader, PreviewGroupRequest, PreviewGroupResponse
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.clock import Clock
from morpheus_kit.contents import group_content
from morpheus_kit.errors import MalformedError
from morpheus_kit.keyring import Keyring, RateLimiter
from morpheus_kit.prices import Prices
from morpheus_kit.queue.schema import QueuedMessage
from morpheus_kit.unsubscribe import sample_url
from services.intake.access import PREVIEW, Access, authorise
from services.intake.config import Config
from services.intake.header import Resolved, check_header, check_identity
from services.intake.recipients import Part
from services.intake.rendering import Renderer
from services.intake.shared import context_of, shared_info
from services.intake.streams import has_link, stream_of
from services.intake.tally import Tally
from services.intake.upload import Upload
from services.intake.violations import Violations

_SLICE = 100
_AT_ONCE = 2
"""Slices that one preview has at the renderer: it must not hold up what is being sent."""


@dataclass(frozen=True, slots=True)
class Previews:
    """What every preview works with: no queue, so nothing can be written."""

    config: Config
    keyring: Keyring
    limiter: RateLimiter
    renderer: Renderer
    prices: Prices
    clock: Clock

    async def preview(
        self, requests: AsyncIterator[PreviewGroupRequest], metadata: Mapping[str, str]
    ) -> PreviewGroupResponse:
        """Reads one upload to its end and answers it. Raises what the same post would be refused by."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("payload") != "header":
            raise MalformedError("The first message must be the header.")
        header = first.header
        access = authorise(header, metadata, self.keyring, self.clock, PREVIEW)
        violations = Violations()
        check_identity(header, violations)
        violations.raise_if_any()
        return await Preview(self, header, access, violations).run(requests)


class Preview:
    """The preview under way."""

    def __init__(self, previews: Previews, header: GroupHeader, access: Access, violations: Violations) -> None:
        """`header` is authorised and names a group."""
        self._previews = previews
        self._header = header
        self._access = access
        self._violations = violations
        self._upload = Upload(header, access)
        self._context = context_of(header)
        # No message has an id yet that a link could be for.
        company, stream, url = header.company_code, stream_of(header), previews.config.public_url
        self._link = sample_url(url, company, stream) if has_link(header) else ""

    async def run(self, requests: AsyncIterator[PreviewGroupRequest]) -> PreviewGroupResponse:
        """To the answer. Chunks are rendered as they come, so that no more than one is held."""
        previews, now_ms = self._previews, self._previews.clock.now_ms()
        previews.limiter.take(self._access.key)
        resolved = check_header(self._header, previews.config, now_ms, self._violations)
        self._violations.raise_if_unsupported()
        part = Part(
            self._header,
            resolved.email_only,
            now_ms,
            self._violations,
            previews.config.buckets,
            sms_only=resolved.sms_only,
        )
        group = group_content(shared_info(self._header, self._context, resolved.provider_method, ""))
        tally = Tally(previews.prices, self._email_method(resolved))
        async for recipients in self._upload.recipients(part, requests):
            messages = part.accept(recipients)
            if self._violations.full:
                break
            if self._violations or not messages:
                continue
            if not group.versions:
                await previews.renderer.pin(group)
            for slices in _pairs(messages):
                await self._render_at_once(group, slices, tally)
        self._violations.raise_if_any()
        self._upload.check(part)
        return tally.response(part.rejected)

    def _email_method(self, resolved: Resolved) -> str:
        """The provider whose price an email has."""
        route = self._previews.config.email_route
        return route[0] if resolved.provider_method == "email" and route else resolved.provider_method

    async def _render_at_once(
        self, group: renderer_pb2.GroupContent, slices: Sequence[Sequence[QueuedMessage]], tally: Tally
    ) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for messages in slices:
                    tasks.create_task(self._render(group, messages, tally))
        except ExceptionGroup as several:
            # What a task group raises is a group; callers know the kit's errors.
            raise several.exceptions[0] from several

    async def _render(self, group: renderer_pb2.GroupContent, messages: Sequence[QueuedMessage], tally: Tally) -> None:
        by_id = {message.id: message for message in messages}
        renderer = self._previews.renderer
        async for previewed in renderer.preview(group, messages, self._link, bodies=tally.wants_samples):
            message = by_id.get(previewed.id)
            if message is not None:
                tally.add(message, previewed)


def _pairs(messages: Sequence[QueuedMessage]) -> Iterator[list[Sequence[QueuedMessage]]]:
    """Slices, as many together as are rendered at once."""
    slices = [messages[first : first + _SLICE] for first in range(0, len(messages), _SLICE)]
    for first in range(0, len(slices), _AT_ONCE):
        yield slices[first : first + _AT_ONCE]
