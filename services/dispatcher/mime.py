"""The MIME composer: an email as bytes, put together by hand because the library's takes a hundred times longer.

One `Composer` per group holds what its messages share. Bodies are quoted-printable or base64, so no line is long
and the boundaries cannot occur in them. Pure; `tests/unit/services/dispatcher/test_mime.py` parses everything back.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import NamedTuple

from morpheus_kit.ids import group_key
from morpheus_kit.queue.schema import SharedInfo
from services.dispatcher import headers

# Set by us; a group's own header of such a name is left out (intake refuses it before).
OWN_HEADERS = frozenset(
    [
        "auto-submitted",
        "bcc",
        "content-disposition",
        "content-transfer-encoding",
        "content-type",
        "date",
        "dkim-signature",
        "feedback-id",
        "from",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "message-id",
        "mime-version",
        "reply-to",
        "return-path",
        "sender",
        "subject",
        "to",
        "x-morpheus-ref",
    ]
)
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_BASE64_LINE = 76
# Above one in this many bytes beyond ASCII, base64 is the shorter one.
_QP_SHARE = 6


class Attached(NamedTuple):
    """One attachment."""

    name: str
    content_type: str
    content: bytes


class Composer:
    """Writes the emails of one group."""

    def __init__(self, shared: SharedInfo) -> None:
        """AddressError when the group's own addresses cannot be written."""
        name, address = headers.split_mailbox(shared.from_address)
        self.sender = headers.address_on_the_wire(address)
        self._domain = self.sender.rpartition("@")[2].encode()
        self._reference_prefix = shared.reference_prefix
        lines = [b"From: %s\r\n" % headers.mailbox(name, address)]
        if shared.reply_to:
            lines.append(b"Reply-To: %s\r\n" % headers.mailbox(*headers.split_mailbox(shared.reply_to)))
        lines.append(b"MIME-Version: 1.0\r\n")
        if shared.stream == "transactional":
            lines.append(b"Auto-Submitted: auto-generated\r\n")
        feedback = f"{group_key(shared.company_code, shared.group_id)}:{shared.company_code}:{shared.stream}:morpheus"
        lines.append(b"Feedback-ID: %s\r\n" % headers.unstructured(feedback, 13))
        lines += [
            headers.custom(each, value) for each, value in shared.headers.items() if each.lower() not in OWN_HEADERS
        ]
        self._shared_lines = b"".join(lines)

    def message_id(self, message: str) -> str:
        """The Message-ID with its angle brackets."""
        return f"<{message}@{self._domain.decode()}>"

    def compose(  # noqa: PLR0913  the parts of an email
        self,
        message: str,
        to: bytes,
        date: bytes,
        *,
        subject: str,
        text: str,
        html: str,
        attachments: Sequence[Attached] = (),
        unsubscribe_url: str = "",
    ) -> bytes:
        """The whole email. `message` is our id; `to` from `headers.mailbox`, `date` from `date_line`."""
        ident = message.encode()
        head = b"Date: %s\r\nMessage-ID: <%s@%s>\r\n%s%sTo: %s\r\nSubject: %s\r\nX-Morpheus-Ref: %s-%s\r\n" % (
            date,
            ident,
            self._domain,
            self._shared_lines,
            _unsubscribe_lines(unsubscribe_url),
            to,
            headers.unstructured(subject, 9),
            self._reference_prefix.encode(),
            ident,
        )
        body = _alternative(ident, text, html)
        if not attachments:
            return head + body
        boundary = b"=_mixed_" + ident
        parts = [head, b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n--%s\r\n' % (boundary, boundary), body]
        for attached in attachments:
            parts += [b"--%s\r\n" % boundary, _attachment(attached)]
        parts.append(b"--%s--\r\n" % boundary)
        return b"".join(parts)


def date_line(now: datetime) -> bytes:
    """The value of `Date`: one per batch is enough."""
    return format_datetime(now).encode()


def unsubscribe_headers(url: str) -> dict[str, str]:
    """What lets a mail program unsubscribe with one click (RFC 8058); nothing without a link."""
    if not url:
        return {}
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _unsubscribe_lines(url: str) -> bytes:
    return b"".join([f"{name}: {value}\r\n".encode() for name, value in unsubscribe_headers(url).items()])


def _alternative(ident: bytes, text: str, html: str) -> bytes:
    """Text before HTML; only one of them when the other is empty."""
    if not html:
        return _text_part(b"plain", text)
    if not text:
        return _text_part(b"html", html)
    boundary = b"=_alternative_" + ident
    return b'Content-Type: multipart/alternative; boundary="%s"\r\n\r\n--%s\r\n%s--%s\r\n%s--%s--\r\n' % (
        boundary,
        boundary,
        _text_part(b"plain", text),
        boundary,
        _text_part(b"html", html),
        boundary,
    )


def _text_part(subtype: bytes, text: str) -> bytes:
    """Headers and body. The line end before a boundary is the boundary's, so one is added."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    raw = text.replace("\n", "\r\n").encode()
    if text.isascii() or (len(raw) - len(text)) * _QP_SHARE < len(raw):
        # Without a line end in it, the library would break lines by bare LF.
        encoding, body = b"quoted-printable", b2a_qp(raw + b"\r\n")
    else:
        encoding, body = b"base64", _base64(raw)
    return b'Content-Type: text/%s; charset="utf-8"\r\nContent-Transfer-Encoding: %s\r\n\r\n%s' % (
        subtype,
        encoding,
        body,
    )


def _base64(raw: bytes) -> bytes:
    encoded = b2a_base64(raw, newline=False)
    lines = [encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)


def _attachment(attached: Attached) -> bytes:
    content_type = attached.content_type
    if not _CONTENT_TYPE.fullmatch(content_type) or content_type.startswith(("multipart/", "message/")):
        content_type = "application/octet-stream"
    return (
        b"Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n %s\r\n\r\n%s"
        % (content_type.encode(), headers.filename(attached.name), _base64(attached.content))
    )
