"""The outbox of a local stack: mails and texts as they were sent, from the folder that the dispatcher writes."""

from __future__ import annotations

import email.policy
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesHeaderParser, BytesParser
from email.utils import parseaddr
from pathlib import Path

from morpheus_kit.errors import NotFoundError

PAGE_SIZE = 50
_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEADERS = BytesHeaderParser(policy=email.policy.default)
_PARSER = BytesParser(policy=email.policy.default)
_HEADER_BYTES = 32 * 1024
_MAIL, _TEXT = ".eml", ".txt"
_PREVIEW_CHARS = 160


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the list."""

    id: str
    subject: str
    name: str
    address: str
    written_at: datetime
    size: int
    attachments: bool
    is_text: bool = False
    """A text message: `subject` is how it begins, and its number is not kept here."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list, newest first."""

    mails: list[Summary]
    number: int
    pages: int
    total: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part of a mail that is a file."""

    number: int
    name: str
    content_type: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Lowercase hex."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail taken apart."""

    id: str
    subject: str
    headers: list[tuple[str, str]]
    html: str
    text: str
    source: bytes
    attachments: list[Attachment]
    is_text: bool = False
    """A text message: nothing but `text`."""


class Mailbox:
    """The `.eml` and `.txt` files of one folder."""

    def __init__(self, folder: Path) -> None:
        """`folder` may appear later."""
        self._folder = folder

    def page(self, number: int, words: str = "") -> Page:
        """Page `number` from 1; `words` must be in recipient, sender or subject, or in a text message."""
        paths = self._newest_first()
        if words:
            wanted = words.lower().split()
            paths = [path for path in paths if _matches(path, wanted)]
        pages = max(1, -(-len(paths) // PAGE_SIZE))
        number = min(max(1, number), pages)
        chosen = paths[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
        return Page([_summary(path) for path in chosen], number, pages, len(paths))

    def mail(self, mail_id: str) -> Mail:
        """NotFoundError when there is none of this id."""
        if not _NAME.fullmatch(mail_id):
            raise NotFoundError("There is no such mail.")
        try:
            return _take_apart(mail_id, (self._folder / f"{mail_id}{_MAIL}").read_bytes())
        except FileNotFoundError:
            pass
        try:
            source = (self._folder / f"{mail_id}{_TEXT}").read_bytes()
        except FileNotFoundError as exc:
            raise NotFoundError("There is no such mail.") from exc
        return Mail(mail_id, "", [], "", source.decode(errors="replace"), source, [], is_text=True)

    def _newest_first(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        stamped = [
            (path.stat().st_mtime_ns, path.name, path)
            for path in self._folder.iterdir()
            if path.suffix in {_MAIL, _TEXT} and _NAME.fullmatch(path.stem)
        ]
        return [path for _, _, path in sorted(stamped, reverse=True)]


def _headers(path: Path) -> EmailMessage:
    with path.open("rb") as file:
        message = _HEADERS.parsebytes(file.read(_HEADER_BYTES))
    assert isinstance(message, EmailMessage)  # noqa: S101  what its policy makes
    return message


def _matches(path: Path, words: list[str]) -> bool:
    if path.suffix == _TEXT:
        text = path.read_text(errors="replace")
    else:
        headers = _headers(path)
        text = " ".join(str(headers.get(name, "")) for name in ("To", "From", "Subject"))
    return all(word in text.lower() for word in words)


def _summary(path: Path) -> Summary:
    status = path.stat()
    written_at = datetime.fromtimestamp(status.st_mtime, UTC)
    if path.suffix == _TEXT:
        begins = " ".join(path.read_text(errors="replace").split())[:_PREVIEW_CHARS]
        return Summary(
            path.stem, begins, "Text message", "", written_at, status.st_size, attachments=False, is_text=True
        )
    headers = _headers(path)
    name, address = parseaddr(str(headers.get("To", "")))
    return Summary(
        id=path.stem,
        subject=str(headers.get("Subject", "")),
        name=name,
        address=address,
        written_at=written_at,
        size=status.st_size,
        attachments=headers.get_content_type() == "multipart/mixed",
    )


def _take_apart(mail_id: str, source: bytes) -> Mail:
    message = _PARSER.parsebytes(source)
    assert isinstance(message, EmailMessage)  # noqa: S101  what its policy makes
    html, text = message.get_body(("html",)), message.get_body(("plain",))
    return Mail(
        id=mail_id,
        subject=str(message.get("Subject", "")),
        headers=[(name, str(value)) for name, value in message.items()],
        html=str(html.get_content()) if html is not None else "",
        text=str(text.get_content()) if text is not None else "",
        source=source,
        attachments=[
            Attachment(
                number,
                part.get_filename("") or f"part-{number}",
                part.get_content_type(),
                bytes(part.get_payload(decode=True) or b""),
            )
            for number, part in enumerate(message.iter_attachments())
        ],
    )
