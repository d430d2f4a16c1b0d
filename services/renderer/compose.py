"""One slice of a group's messages from templates to answers. Pure but for the files that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import msgspec
from jinja2 import Template
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.reasons import ReasonCode
from services.renderer.attachments import Fetch, StoredFiles
from services.renderer.failures import RenderError, explain
from services.renderer.frames import Progress
from services.renderer.locales import canonical, choose, text_beside
from services.renderer.markdown import Body
from services.renderer.pdf import SlicePdfs
from services.renderer.pdf_cache import SharedPdfs
from services.renderer.pinned import PinnedTemplates
from services.renderer.settings import RenderSettings
from services.renderer.text import inline_css, one_line, text_of

# Steps are taken by so many messages together: each library's code and data then stay in the CPU's caches, which
# takes a third off the whole.
BATCH = 128
# A batch of large messages ends earlier, so that one fails for its own size only and not for that of those beside it;
# and an order may end in the middle of a batch, when what was rendered of its rest is lost.
BATCH_CHARACTERS = 1_000_000
BATCH_WITH_FILES = 8
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
    return template.environment.concat(template.root_render_func(template.new_context(variables, shared=True)))


class Draft:
    """One message on its way; with an `error` no further step is taken."""

    __slots__ = ("answer", "chosen", "error", "html", "message", "subject", "text")

    def __init__(self, message: renderer_pb2.MessageContent) -> None:
        self.message = message
        self.subject = self.html = self.text = ""
        self.answer = b""
        self.chosen: Chosen | None = None
        self.error: RenderError | None = None

    @property
    def templates(self) -> str:
        """Those that were chosen for it."""
        if self.chosen is None:
            return ""
        inner, outer = self.chosen.inner.name, self.chosen.outer
        return f"{inner} in {outer.name}" if outer else f"{inner}"

    def take(self) -> bytes:
        """The answer, which is kept no longer."""
        answer = failed(self.message.id, self.error) if self.error else self.answer
        self.html = self.text = ""
        self.answer = b""
        return answer


class Chosen(NamedTuple):
    """The templates for one locale. `text` is what stands beside the inner template, `text_outer` beside the outer."""

    inner: Template
    outer: Template | None = None
    text: Template | None = None
    text_outer: Template | None = None


class GroupRenderer:
    """What the messages of a slice share, prepared once."""

    def __init__(self, group: renderer_pb2.GroupContent, pinned: PinnedTemplates, settings: RenderSettings) -> None:
        """RenderError (or what a template raises while it is loaded) concerns every message of the slice."""
        self._pinned = pinned
        self._settings = settings
        self._outer = group.outer_template
        self._inner = group.inner_template
        self._chosen = {"": self._choose("")}
        self._subject = pinned.subject(group.subject_template) if self._outer else None
        self._tags = list(group.tags)
        self._shared = pinned.globals | decode_context(group.context)
        self._own = {"company_code": group.company_code, "group_id": group.group_id}

    def _choose(self, locale: str) -> Chosen:
        """The best templates for `locale` among those that are pinned."""
        pinned, known = self._pinned, self._pinned.versions
        inner = choose(self._inner, locale, known)
        if not self._outer:
            return Chosen(pinned.text(inner))
        outer = choose(self._outer, locale, known)
        beside_inner, beside_outer = text_beside(inner), text_beside(outer)
        return Chosen(
            pinned.html(inner),
            pinned.html(outer),
            pinned.text(beside_inner) if beside_inner in known else None,
            pinned.text(beside_outer) if beside_outer in known else None,
        )

    def _for(self, locale: str) -> Chosen:
        found = self._chosen.get(locale)
        if found is None:
            found = self._chosen[locale] = self._choose(locale)
        return found

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
        if message.unsubscribe_url:
            values["unsubscribe_url"] = message.unsubscribe_url
        values.update(self._own)
        values["tags"] = [*self._tags, *message.tags] if message.tags else self._tags
        return values

    def render(self, draft: Draft) -> None:
        """Fills in subject, HTML and the text that stands beside it; of an SMS the text alone."""
        values = self.variables(draft.message)
        chosen = draft.chosen = self._localize(values)
        if chosen.outer is None or self._subject is None:
            draft.text = render(chosen.inner, values).strip()
            return
        draft.subject = values["subject"] = one_line(render(self._subject, values))
        if chosen.text is not None:
            text = render(chosen.text, values).strip()
            if chosen.text_outer is not None:
                values["content"] = text
                text = render(chosen.text_outer, values).strip()
            draft.text = text
        values["content"] = Body(render(chosen.inner, values))  # escaped by the sandbox that made it
        draft.html = render(chosen.outer, values)

    def _localize(self, values: Variables) -> Chosen:
        """Templates and formats of the recipient's locale and time zone."""
        locale = ""
        if values.get("locale"):
            locale = values["locale"] = canonical(values["locale"])
        zone = values.get("time_zone") or self._settings.time_zone
        self._pinned.formats.use(locale or self._settings.locale, zone)
        return self._for(locale)


def add_text(draft: Draft) -> None:
    """The text part of an email, where no template made it."""
    if draft.html and not draft.text:
        draft.text = text_of(draft.html)


def finish_html(draft: Draft) -> None:
    """CSS inlined."""
    if draft.html:
        draft.html = inline_css(draft.html)


class SliceRenderer:
    """Renders slices for one worker."""

    def __init__(self, fetch: Fetch, progress: Progress, pdfs: SharedPdfs, settings: RenderSettings) -> None:
        self._fetch = fetch
        self._progress = progress
        self._pdfs = pdfs
        self._settings = settings

    def render(self, request: renderer_pb2.RenderMessagesRequest, pinned: PinnedTemplates) -> Iterator[bytes]:
        """Serialized `RenderedMessage`s in the order of the request, one for each of its messages."""
        self._progress.begin(0)
        try:
            renderer = GroupRenderer(request.group, pinned, self._settings)
        except Exception as exc:  # noqa: BLE001  whatever a template or its group's data can raise fails the slice
            failure = explain(exc)
            for message in request.messages:
                yield failed(message.id, failure)
            return
        files = StoredFiles(self._fetch)
        pdfs = SlicePdfs(files, self._progress, self._pdfs, self._settings)
        first = 0
        while first < len(request.messages):
            drafts = self._begin(renderer, request.messages, first)
            for step in (add_text, finish_html):
                for position, draft in enumerate(drafts, first):
                    self._attempt(step, draft, position)
            for position, draft in enumerate(drafts, first):
                self._attempt(lambda draft: self._finish(draft, pdfs, files), draft, position)
                yield draft.take()
            first += len(drafts)

    def _begin(
        self, renderer: GroupRenderer, messages: Sequence[renderer_pb2.MessageContent], first: int
    ) -> list[Draft]:
        """The next batch, as its templates make it."""
        drafts, size = [], 0
        most = BATCH_WITH_FILES if _has_files(messages[first]) else BATCH
        for position in range(first, min(first + most, len(messages))):
            draft = Draft(messages[position])
            self._attempt(renderer.render, draft, position)
            drafts.append(draft)
            size += len(draft.html) + len(draft.text)
            if size > BATCH_CHARACTERS:
                break
        return drafts

    def _attempt(self, step: Callable[[Draft], None], draft: Draft, position: int) -> None:
        if draft.error is not None:
            return
        self._progress.begin(position)
        try:
            step(draft)
        except Exception as exc:  # noqa: BLE001  whatever it raised, it concerns this message only
            draft.error = explain(exc, draft.templates)

    def _finish(self, draft: Draft, pdfs: SlicePdfs, files: StoredFiles) -> None:
        """Attachments, then the whole."""
        answer = renderer_pb2.RenderedMessage(
            id=draft.message.id, subject=draft.subject, html=draft.html, text=draft.text
        )
        size = answer.ByteSize()
        self._check_size(size)
        for pdf in draft.message.pdf_attachments:
            content = pdfs.get(pdf.name, pdf.html)
            answer.attachments.add(name=pdf.name, content_type=PDF_TYPE, content=content)
            size += len(content)
            self._check_size(size)
        for stored in draft.message.stored_attachments:
            attachment = files.attachment(stored)
            size += len(attachment.content)
            self._check_size(size)
            answer.attachments.append(attachment)
        draft.answer = answer.SerializeToString()

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_message:
            text = f"the message with its attachments has more than {self._settings.max_message} bytes"
            raise RenderError(ReasonCode.MESSAGE_TOO_LARGE, text)


def _has_files(message: renderer_pb2.MessageContent) -> bool:
    return bool(message.pdf_attachments or message.stored_attachments)


def failed(message_id: str, error: RenderError) -> bytes:
    """A serialized answer that says why there is no message."""
    failure = renderer_pb2.Failure(code=error.code.value, text=error.text)
    return renderer_pb2.RenderedMessage(id=message_id, failure=failure).SerializeToString()
