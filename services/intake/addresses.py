"""What can be an email address, and what cannot."""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import NamedTuple

from email_validator import EmailNotValidError, validate_email

_MAX_CHARS = 254
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Nearly every address; what it does not match is asked of the library, a hundred times slower.
_PLAIN = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,63}}", re.ASCII)
_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>", re.DOTALL)


class Mailbox(NamedTuple):
    """`Name <address>` taken apart; the name may be empty."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """Lowercase, as written."""
        return self.address.rpartition("@")[2].lower()

    def unmistakable(self) -> str:
        """In a form that every reader of mail takes apart as it was judged here."""
        if not self.name:
            return self.address
        plain = f"{self.name} <{self.address}>"
        if parseaddr(plain) == self:
            return plain
        escaped = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{self.address}>'


def is_possible(address: str) -> bool:
    """Whether mail to it is possible by its syntax; a domain may be written in any script, a local part in ASCII."""
    if len(address) <= _MAX_CHARS and "--" not in address and _PLAIN.fullmatch(address):
        return True
    return "@" in address and _by_library(address)


def why_impossible(address: str) -> str:
    """One sentence about an address that is not possible."""
    try:
        _validate(address)
    except EmailNotValidError as exc:
        return f"The address is not a valid one: {exc}"
    return "The address is not a valid one: its domain has no top level."


def parse_mailbox(text: str) -> Mailbox | None:
    """`a@b` or `Name <a@b>`; None when it is neither."""
    if any(char < " " or char == "\x7f" for char in text):
        return None
    found = _NAMED.fullmatch(text.strip())
    if found is None:
        return Mailbox("", text) if is_possible(text) else None
    name = found["name"].strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return Mailbox(name, found["address"]) if is_possible(found["address"]) else None


def _by_library(address: str) -> bool:
    try:
        domain = _validate(address)
    except EmailNotValidError:
        return False
    top = domain.rpartition(".")
    return bool(top[0]) and top[2][-1:].isalpha()


def _validate(address: str) -> str:
    """The domain as A-labels. EmailNotValidError."""
    if len(address) > _MAX_CHARS:
        raise EmailNotValidError(f"It is longer than {_MAX_CHARS} characters.")
    found = validate_email(
        address, check_deliverability=False, allow_smtputf8=False, globally_deliverable=False, strict=True
    )
    return found.ascii_domain
