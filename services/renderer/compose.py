"""One slice of a group's messages from templates to answers. Pure but for the files that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec
from jinja2 import Template
from markupsafe import Markup
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.reasons import ReasonCode
from services.renderer.attachments import Fetch, StoredFiles
from services.renderer.failures import RenderError, explain
from services.renderer.frames import Progress
from services.renderer.pdf import SlicePdfs
from services.renderer.pinned import PinnedTemplates, TemplateSets
from services.renderer.text import inline_css, one_line, text_of

PDF_TYPE = "application/pdf"
Variables = dict[str, Any]


def _refuse_extension(code: int, _data: memoryview) -> NoReturn:
    msg = f"extension type {code}"
    raise ValueError(msg)


_decoder = msgspec.msgpack.Decoder(ext_hook=_refuse_extension)


def decode_context(packed: bytes) -> Variables:
    """RenderError when it is not one map."""
    if not packed:
        return {}
    try:
        context = _decoder.decode(packed)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise RenderError(ReasonCode.RENDER_FAILED, f"the context is not one well-formed msgpack map: {exc}") from exc
    if not isinstance(context, dict):
        raise RenderError(ReasonCode.RENDER_FAILED, "the context is not a map")
    return context


def render(template: Template, variables: Variables) -> str:
    """`template.render` without its copy of the variables and without its rewriting of tracebacks."""
    return "".join(template.root_render_func(template.new_context(variables, shared=True)))


class GroupRenderer:
    """What the messages of a slice share, prepared once."""

    def __init__(self, group: renderer_pb2.GroupContent, pinned: PinnedTemplates) -> None:
        """RenderError (or what a template raises while it is loaded) concerns every message of the slice."""
        self._outer = pinned.html(group.outer_template) if group.outer_template else None
        self._inner = pinned.html(group.inner_template) if self._outer else pinned.text(group.inner_template)
        self._subject = pinned.subject(group.subject_template) if self._outer else None
        self._tags = list(group.tags)
        self._shared = pinned.globals | decode_context(group.context)
        self._own = {"company_code": group.company_code, "group_id": group.group_id}

    def variables(self, message: renderer_pb2.MessageContent) -> Variables:
        """Shared context, then the recipient's, then what the post itself names. An empty name hides nothing."""
        values = self._shared.copy()
        if message.context:
            values.update(decode_context(message.context))
        first, last = message.first_name, message.last_name
        named = {
            "first_name": first,
            "last_name": last,
            "full_name": f"{first} {last}".strip(),
            "user_link": message.user_link,
        }
        for name, value in named.items():
            if value or name not in values:
                values[name] = value
        values["address"] = message.address
        values.update(self._own)
        values["tags"] = [*self._tags, *message.tags] if message.tags else self._tags
        return values

    def render(self, message: renderer_pb2.MessageContent, answer: renderer_pb2.RenderedMessage) -> int:
        """Fills in subject, HTML and text; returns their size in bytes."""
        values = self.variables(message)
        if self._outer is None or self._subject is None:
            answer.text = render(self._inner, values).strip()
            return len(answer.text.encode())
        subject = one_line(render(self._subject, values))
        values["content"] = Markup(render(self._inner, values))  # noqa: S704  escaped by the sandbox that made it
        values["subject"] = subject
        html = render(self._outer, values)
        answer.subject = subject
        answer.text = text_of(html)
        answer.html = inline_css(html)
        return answer.ByteSize()


class SliceRenderer:
    """Renders slices for one worker."""

    def __init__(self, sets: TemplateSets, fetch: Fetch, progress: Progress, max_message: int) -> None:
        """`max_message`: most bytes of a message with its attachments."""
        self._sets = sets
        self._fetch = fetch
        self._progress = progress
        self._max_message = max_message

    def render(self, request: renderer_pb2.RenderMessagesRequest) -> Iterator[bytes]:
        """Serialized `RenderedMessage`s in the order of the request, one for each of its messages."""
        group = request.group
        strict = group.missing_variables != "empty"
        self._progress.begin(0)
        try:
            renderer = GroupRenderer(group, self._sets.get(group.versions, strict=strict))
        except Exception as exc:  # noqa: BLE001  whatever a template or its group's data can raise fails the slice
            failure = explain(exc)
            for message in request.messages:
                yield failed(message.id, failure)
            return
        files = StoredFiles(self._fetch)
        pdfs = SlicePdfs(files, self._progress)
        for position, message in enumerate(request.messages):
            self._progress.begin(position)
            try:
                yield self._message(renderer, message, pdfs, files)
            except Exception as exc:  # noqa: BLE001  whatever it raised, it concerns this message only
                yield failed(message.id, explain(exc))

    def _message(
        self,
        renderer: GroupRenderer,
        message: renderer_pb2.MessageContent,
        pdfs: SlicePdfs,
        files: StoredFiles,
    ) -> bytes:
        answer = renderer_pb2.RenderedMessage(id=message.id)
        size = renderer.render(message, answer)
        for pdf in message.pdf_attachments:
            content = pdfs.get(pdf.name, pdf.html)
            answer.attachments.add(name=pdf.name, content_type=PDF_TYPE, content=content)
            size += len(content)
        for stored in message.stored_attachments:
            attachment = files.attachment(stored)
            size += len(attachment.content)
            answer.attachments.append(attachment)
            self._check_size(size)
        self._check_size(size)
        return answer.SerializeToString()

    def _check_size(self, size: int) -> None:
        if size > self._max_message:
            text = f"the message with its attachments has more than {self._max_message} bytes"
            raise RenderError(ReasonCode.MESSAGE_TOO_LARGE, text)


def failed(message_id: str, error: RenderError) -> bytes:
    """A serialized answer that says why there is no message."""
    failure = renderer_pb2.Failure(code=error.code.value, text=error.text)
    return renderer_pb2.RenderedMessage(id=message_id, failure=failure).SerializeToString()
