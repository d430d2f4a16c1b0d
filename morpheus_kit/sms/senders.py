"""Who a text message may come from: the shape of a sender, and what each country's networks refuse."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from morpheus_kit.sms.numbers import COUNTRIES, DEFAULT_COUNTRY, NumberError, parse_number

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9 ]{0,9}[A-Za-z0-9])?")
_SHORT_CODE = re.compile(r"[1-9][0-9]{2,5}")
_RULES = Path(__file__).with_name("senders.toml")


class SenderKind(StrEnum):
    """What a sender can be."""

    ALPHANUMERIC = "alphanumeric"
    NUMBER = "number"
    SHORT_CODE = "short_code"


class SenderError(ValueError):
    """The text can be nobody's sender; the message says why."""


def parse_sender(text: str, country: str = DEFAULT_COUNTRY) -> tuple[SenderKind, str]:
    """Kind and wire form of a sender: a name of at most 11 letters and digits, a short code, or a number."""
    if _NAME.fullmatch(text):
        return SenderKind.ALPHANUMERIC, text
    if _SHORT_CODE.fullmatch(text):
        return SenderKind.SHORT_CODE, text
    try:
        return SenderKind.NUMBER, parse_number(text, country).e164
    except NumberError as exc:
        raise SenderError("a sender id of at most 11 letters and digits, or a number, is required") from exc


def is_refused(kind: SenderKind, country: str) -> bool:
    """Whether the networks of `country` refuse such a sender."""
    return kind in rules().get(country, frozenset())


@cache
def rules() -> Mapping[str, frozenset[SenderKind]]:
    """What each country refuses, from `senders.toml`."""
    table = tomllib.loads(_RULES.read_text())["refused"]
    unknown = table.keys() - COUNTRIES
    if unknown:
        msg = f"{_RULES.name}: no such country: {', '.join(sorted(unknown))}"
        raise ValueError(msg)
    return {country: frozenset(SenderKind(kind) for kind in kinds) for country, kinds in table.items()}
