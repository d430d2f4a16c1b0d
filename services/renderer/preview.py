"""What would go out as a message: its bodies where they are wanted, else what there is to say of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.reasons import ReasonCode
from morpheus_kit.sms import segments

LARGE_HTML = 102 * 1024
"""Bytes from which on Gmail cuts a mail off."""
# Bounded gaps: a long run of spaces must not take a long time.
_HTTP_LINK = re.compile(r"""\b(?:href|src)\s{0,8}=\s{0,8}["']?\s{0,8}(http://[^\s"'>]{1,200})""", re.IGNORECASE)


class Previewer:
    """Turns rendered messages into previews."""

    def __init__(self, *, downgrade: bool) -> None:
        """`downgrade`: typeset characters of text messages are made plain where that alone makes them GSM-7."""
        self._downgrade = downgrade

    def of_chunk(
        self, chunk: bytes, *, text_message: bool, with_bodies: Collection[str]
    ) -> renderer_pb2.PreviewMessagesResponse:
        """Of a serialized RenderMessagesResponse; `with_bodies`: ids of messages whose bodies are wanted."""
        return renderer_pb2.PreviewMessagesResponse(
            messages=[
                self.preview(each, text_message=text_message, bodies=each.id in with_bodies)
                for each in renderer_pb2.RenderMessagesResponse.FromString(chunk).messages
            ]
        )

    def preview(
        self, rendered: renderer_pb2.RenderedMessage, *, text_message: bool, bodies: bool
    ) -> renderer_pb2.PreviewedMessage:
        """`text_message`: it is an SMS; `bodies`: subject, HTML and text are wanted."""
        if rendered.HasField("failure"):
            return renderer_pb2.PreviewedMessage(id=rendered.id, failure=rendered.failure)
        if text_message:
            return self._sms(rendered, bodies=bodies)
        answer = renderer_pb2.PreviewedMessage(id=rendered.id, warnings=_email_warnings(rendered))
        for each in rendered.attachments:
            answer.attachments.add(name=each.name, content_type=each.content_type, size=len(each.content))
        if bodies:
            answer.subject, answer.html, answer.text = rendered.subject, rendered.html, rendered.text
        return answer

    def _sms(self, rendered: renderer_pb2.RenderedMessage, *, bodies: bool) -> renderer_pb2.PreviewedMessage:
        text = segments.downgrade(rendered.text) if self._downgrade else rendered.text
        if not text:
            failure = renderer_pb2.Failure(code=ReasonCode.RENDER_FAILED, text="the text is empty")
            return renderer_pb2.PreviewedMessage(id=rendered.id, failure=failure)
        size = segments.measure(text)
        answer = renderer_pb2.PreviewedMessage(id=rendered.id, text=text if bodies else "")
        answer.sms.segments, answer.sms.encoding = size.count, size.encoding.value
        if size.offending:
            answer.warnings.add(code="sms_not_gsm", text=f"takes more segments because of {size.explain()}")
        return answer


def _email_warnings(rendered: renderer_pb2.RenderedMessage) -> Iterator[renderer_pb2.Warning]:
    if not rendered.subject:
        yield renderer_pb2.Warning(code="subject_empty", text="the subject is empty")
    size = len(rendered.html.encode())
    if size > LARGE_HTML:
        text = f"the HTML has {size // 1024} KB: Gmail cuts off what is larger than {LARGE_HTML // 1024} KB"
        yield renderer_pb2.Warning(code="html_large", text=text)
    link = _HTTP_LINK.search(rendered.html)
    if link:
        text = f"a link or an image is not encrypted: {link[1]}"
        yield renderer_pb2.Warning(code="http_link", text=text)
