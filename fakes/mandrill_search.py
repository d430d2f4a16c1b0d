"""The part of Mandrill's search language that looks messages up: `u_<metadata>:value`, `email:`, words, AND."""

from __future__ import annotations

import re

from fakes.records import Message

_TERM = re.compile(r'(?:(?P<field>[A-Za-z_][\w-]*):)?(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"()]+))')


def matches(message: Message, query: str) -> bool:
    """Every term of the query holds."""
    for term in _TERM.finditer(query):
        value = term["quoted"] if term["quoted"] is not None else term["bare"]
        if term["field"] is None and value in {"AND", "*"}:
            continue
        if not _holds(message, term["field"] or "", value):
            return False
    return True


def _holds(message: Message, field: str, value: str) -> bool:
    wanted = value.lower()
    if field.startswith("u_"):
        return message.metadata.get(field[2:], "").lower() == wanted
    if field in {"email", "full_email"}:
        return message.address.lower() == wanted
    if field == "sender":
        return message.sender.lower() == wanted
    if field in {"tag", "tags"}:
        return wanted in {str(tag).lower() for tag in message.content.get("tags") or []}
    if field == "subject":
        return wanted in message.subject.lower()
    if field == "state":
        return wanted == message.state
    return not field and any(wanted in text.lower() for text in (message.address, message.sender, message.subject))
