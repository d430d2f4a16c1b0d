"""Values of mail headers: encoding, folding, and nothing that could start a header of its own. Pure."""

from __future__ import annotations

import re
from binascii import b2a_base64
from email.utils import parseaddr
from functools import lru_cache
from urllib.parse import quote

import idna

# Whatever a parser might take for the end of a line, or choke on.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ADDRESS = re.compile(r"""[^\s<>@,;:\\"()\[\]]+@[^\s<>@,;:\\"()\[\]]+""")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_FILENAME = re.compile(r"[A-Za-z0-9 !#$&+.^_`{}~()@,=-]{1,60}")
_LINE = 76
# Bytes of text in one encoded word, so that the word stays within 75 characters.
_WORD_BYTES = 45
_SEGMENT = 60
FOLD = b"\r\n "


class AddressError(ValueError):
    """An address that no mail can be written to."""


def clean(text: str) -> str:
    """Controls and line ends become one space each; nothing else changes."""
    return _CONTROLS.sub(" ", text)


def unstructured(text: str, used: int) -> bytes:
    """A free-text value such as a subject; `used` characters stand before it on its line."""
    value = clean(text)
    if value.isascii() and "=?" not in value and value == value.strip():
        if used + len(value) <= _LINE:
            return value.encode()
        if "  " not in value and len(max(value.split(" "), key=len)) < _LINE:
            return _fold(value.split(" "), used)
    return _encoded_words(value)


def phrase(name: str) -> bytes:
    """A display name: as it is, quoted, or encoded; blanks become single spaces."""
    value = " ".join(clean(name).split())
    if not value.isascii() or len(value) > 60 or "=?" in value:
        return _encoded_words(value)
    if _PLAIN_PHRASE.fullmatch(value):
        return value.encode()
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()


def mailbox(name: str, address: str) -> bytes:
    """`Name <a@b>`, or the bare address. AddressError."""
    wire = address_on_the_wire(address).encode()
    if not name or name.isspace():
        return wire
    encoded = phrase(name)
    if not encoded:
        return wire
    gap = b" " if len(encoded) + len(wire) <= 60 else FOLD
    return b"%s%s<%s>" % (encoded, gap, wire)


def split_mailbox(text: str) -> tuple[str, str]:
    """`Name <a@b>` or `a@b` as name and address. AddressError."""
    name, address = parseaddr(clean(text))
    if "@" not in address:
        raise AddressError(f"not an address: {clean(text)[:100]}")
    return name, address


def address_on_the_wire(address: str) -> str:
    """The address with its domain as A-labels. AddressError when it cannot be written."""
    local, _, domain = address.rpartition("@")
    wire = f"{local}@{domain if domain.isascii() else _a_labels(domain)}"
    if len(wire) > 320 or not wire.isascii() or not wire.isprintable() or not _ADDRESS.fullmatch(wire):
        raise AddressError("The address cannot be written in a mail header.")
    return wire


@lru_cache(maxsize=4096)
def _a_labels(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as exc:
        raise AddressError("The domain of the address is not a valid one.") from exc


def custom(name: str, value: str) -> bytes:
    """A whole header line of the group's own. ValueError when the name is none."""
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"not a header name: {clean(name)[:100]}")
    return b"%s: %s\r\n" % (name.encode(), unstructured(value.strip(), len(name) + 2))


def filename(name: str) -> bytes:
    """The parameter of Content-Disposition: quoted when simple, else RFC 2231 in segments."""
    value = clean(name).strip() or "attachment"
    if _FILENAME.fullmatch(value):
        return f'filename="{value}"'.encode()
    pieces = [""]
    for character in value:
        # Whole characters: some readers decode each segment by itself.
        encoded = quote(character, safe="!#$&+-.^_`|~")
        if len(pieces[-1]) + len(encoded) > _SEGMENT:
            pieces.append("")
        pieces[-1] += encoded
    if len(pieces) == 1:
        return f"filename*=utf-8''{pieces[0]}".encode()
    lines = [f"filename*{number}*={piece}" for number, piece in enumerate(pieces)]
    lines[0] = lines[0].replace("=", "=utf-8''", 1)
    return ";\r\n ".join(lines).encode()


def _fold(words: list[str], used: int) -> bytes:
    lines = [words[0]]
    length = used + len(words[0])
    for word in words[1:]:
        if length + 1 + len(word) > _LINE:
            lines.append("\r\n " + word)
            length = 1 + len(word)
        else:
            lines.append(" " + word)
            length += 1 + len(word)
    return "".join(lines).encode()


def _encoded_words(value: str) -> bytes:
    """RFC 2047, base64; each word holds whole characters and stands on a line of its own."""
    words: list[bytes] = []
    raw = value.encode()
    while raw:
        cut = min(_WORD_BYTES, len(raw))
        while cut < len(raw) and raw[cut] & 0xC0 == 0x80:
            cut -= 1
        words.append(b"=?utf-8?b?%s?=" % b2a_base64(raw[:cut], newline=False))
        raw = raw[cut:]
    return FOLD.join(words)
