"""Telephone numbers: the one place that asks the numbering plans of the world."""

from __future__ import annotations

import re
from typing import NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, ValidationResult

DEFAULT_COUNTRY = "GB"
COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
_SHAPE = re.compile(r"\+?[0-9(][0-9 ().\-/]{3,24}")
_NOT_GEOGRAPHIC = "001"
_UNKNOWN = "ZZ"
# What regulators keep free for films, documents and tests. No plan holds them valid; a provider refuses them.
_FICTIONAL = re.compile(
    r"\+44(?:7700900|1632960)[0-9]{3}"  # Ofcom
    r"|\+1[2-9][0-9]{2}55501[0-9]{2}"  # North American Numbering Plan
    r"|\+33(?:19900|26191|35301|46571|53649|63998)[0-9]{4}"  # Arcep
    r"|\+61491570(?:006|156|157|158|159|110|313|737|266)"  # ACMA
)
_PARSE_REASONS = {
    NumberParseException.INVALID_COUNTRY_CODE: "it begins with no country's code",
    NumberParseException.NOT_A_NUMBER: "it is not a telephone number",
    NumberParseException.TOO_SHORT_AFTER_IDD: "it is too short",
    NumberParseException.TOO_SHORT_NSN: "it is too short",
    NumberParseException.TOO_LONG: "it is too long",
}
_LENGTH_REASONS = {
    ValidationResult.TOO_SHORT: "it is too short",
    ValidationResult.TOO_LONG: "it is too long",
    ValidationResult.INVALID_LENGTH: "its length is none of its country's",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "it lacks its area code",
}


class NumberError(ValueError):
    """The text is not a number that a message can go to; the message says why."""


class Number(NamedTuple):
    """A number as on the wire, and its country (ISO 3166, empty where it belongs to none)."""

    e164: str
    country: str


def looks_like_number(text: str) -> bool:
    """Whether it is written like a telephone number, valid or not."""
    return _SHAPE.fullmatch(text) is not None


def parse_number(text: str, country: str = DEFAULT_COUNTRY) -> Number:
    """A valid number; `country` is that of one written without `+`. NumberError says what is wrong."""
    if not looks_like_number(text):
        raise NumberError("it is not a telephone number")
    try:
        found = phonenumbers.parse(text, country)
    except NumberParseException as exc:
        raise NumberError(_PARSE_REASONS.get(exc.error_type, "it is not a telephone number")) from exc
    e164 = phonenumbers.format_number(found, PhoneNumberFormat.E164)
    region = phonenumbers.region_code_for_number(found)
    is_valid = region is not None and phonenumbers.is_valid_number_for_region(found, region)
    if not is_valid and not _FICTIONAL.fullmatch(e164):
        length = phonenumbers.is_possible_number_with_reason(found)
        raise NumberError(_LENGTH_REASONS.get(length, "no country has given out such numbers"))
    return Number(e164, _country(found, region))


def country_of(e164: str) -> str:
    """The country of a number that was judged before; empty where it belongs to none."""
    try:
        found = phonenumbers.parse(e164, None)
    except NumberParseException:
        return ""
    return _country(found, phonenumbers.region_code_for_number(found))


def _country(found: PhoneNumber, region: str | None) -> str:
    """Of a number that no country has given out, the main one of its code."""
    region = region or phonenumbers.region_code_for_country_code(found.country_code or 0)
    return "" if region in {_UNKNOWN, _NOT_GEOGRAPHIC} else str(region)
