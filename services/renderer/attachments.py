"""Files of the template store as attachments: fetched once a slice, named and typed."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections import OrderedDict
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
KEPT_BYTES = 32 * 1024 * 1024
_TYPE = re.compile(r"(application|audio|font|image|model|text|video)/[A-Za-z0-9][A-Za-z0-9.+-]{0,126}")


def content_type(name: str) -> str:
    """MIME type by file name; UNKNOWN_TYPE when that says nothing."""
    kind, encoding = _TYPES.guess_type(name)
    if encoding is not None:
        return _ENCODINGS.get(encoding, UNKNOWN_TYPE)
    return kind or UNKNOWN_TYPE


class StoredFiles:
    """Files of the store that one slice uses, each fetched once as long as they fit into `KEPT_BYTES`."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: OrderedDict[str, Content] = OrderedDict()
        self._bytes = 0

    def get(self, path: str) -> Content:
        known = self._known.get(path)
        if known is not None:
            self._known.move_to_end(path)
            return known
        found = self._known[path] = self._fetch(path)
        self._bytes += len(found.content)
        while self._bytes > KEPT_BYTES and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= len(oldest.content)
        return found

    def digest(self, path: str) -> str:
        """SHA-256 of the file; "" when it cannot be had."""
        found = self.get(path)
        return "" if found.error else hashlib.sha256(found.content).hexdigest()

    def attachment(self, stored: renderer_pb2.StoredAttachment) -> renderer_pb2.Attachment:
        """RenderError when the file cannot be had: the message must not go without it."""
        found = self.get(stored.path)
        if found.error:
            code = ReasonCode.MESSAGE_TOO_LARGE if found.too_large else ReasonCode.ATTACHMENT_MISSING
            raise RenderError(code, f"attachment {stored.path!r}: {found.error}")
        name = stored.name or stored.path.rpartition("/")[2]
        kind = content_type(name)
        if kind == UNKNOWN_TYPE and _TYPE.fullmatch(found.content_type):
            kind = found.content_type.lower()
        return renderer_pb2.Attachment(name=name, content_type=kind, content=found.content)
