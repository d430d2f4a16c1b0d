"""Files of the template store as attachments: fetched once a slice, named and typed."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable

from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.reasons import ReasonCode
from services.renderer.failures import RenderError
from services.renderer.frames import Content

Fetch = Callable[[str], Content]

# The library's own table, not the machine's: the same name has the same type everywhere.
_TYPES = mimetypes.MimeTypes(filenames=())
for _ending, _kind in {
    ".avif": "image/avif",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eml": "message/rfc822",
    ".heic": "image/heic",
    ".ics": "text/calendar",
    ".md": "text/markdown",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".pkpass": "application/vnd.apple.pkpass",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".vcf": "text/vcard",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}.items():
    _TYPES.add_type(_kind, _ending)
_ENCODINGS = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
UNKNOWN_TYPE = "application/octet-stream"


def content_type(name: str) -> str:
    """MIME type by file name."""
    kind, encoding = _TYPES.guess_type(name)
    if encoding is not None:
        return _ENCODINGS.get(encoding, UNKNOWN_TYPE)
    return kind or UNKNOWN_TYPE


class StoredFiles:
    """Files of the store that one slice uses, each fetched once."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[str, Content] = {}

    def get(self, path: str) -> Content:
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self._fetch(path)
        return known

    def attachment(self, stored: renderer_pb2.StoredAttachment) -> renderer_pb2.Attachment:
        """RenderError when the file cannot be had: the message must not go without it."""
        found = self.get(stored.path)
        if found.error:
            code = ReasonCode.MESSAGE_TOO_LARGE if found.too_large else ReasonCode.ATTACHMENT_MISSING
            raise RenderError(code, f"attachment {stored.path!r}: {found.error}")
        name = stored.name or stored.path.rpartition("/")[2]
        return renderer_pb2.Attachment(name=name, content_type=content_type(name), content=found.content)
