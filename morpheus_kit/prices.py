"""What a message costs by the price table, in whole millionths of its currency."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

from morpheus_kit.sms.numbers import COUNTRIES, country_of

SHIPPED = Path(__file__).with_name("prices.toml")
MICROS = 1_000_000
_AMOUNT = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount in millionths of `currency` (ISO 4217)."""

    micros: int
    currency: str


class PriceError(ValueError):
    """The price table cannot be used; the message says where."""


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table: micros of an email by method, and of a segment by country."""

    currency: str
    email_micros: Mapping[str, int]
    sms_micros: Mapping[str, int]

    def of_email(self, method: str) -> Cost | None:
        """One email; None where the table does not name the method."""
        micros = self.email_micros.get(method)
        return None if micros is None else Cost(micros, self.currency)

    def of_sms(self, number: str, segments: int) -> Cost | None:
        """One text message to a number in E.164; None where the table has no price for it."""
        micros = self.sms_micros.get(country_of(number), self.sms_micros.get(_DEFAULT))
        return None if micros is None else Cost(micros * segments, self.currency)


def read_prices(path: Path | None = None) -> Prices:
    """The table at `path`, else the one that is shipped. PriceError."""
    path = path or SHIPPED
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as exc:
        msg = f"{path}: {exc}"
        raise PriceError(msg) from exc
    try:
        return _prices(table)
    except PriceError as exc:
        msg = f"{path}: {exc}"
        raise PriceError(msg) from exc


def micros_of(amount: str) -> int | None:
    """A decimal amount in millionths; None when it is none or finer than that."""
    if not _AMOUNT.fullmatch(amount):
        return None
    return int(Decimal(amount) * MICROS)


def _prices(table: Mapping[str, Any]) -> Prices:
    unknown = table.keys() - {"currency", "email", "sms"}
    if unknown:
        msg = f"no such key: {', '.join(sorted(unknown))}"
        raise PriceError(msg)
    currency = table.get("currency")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise PriceError("currency: three capital letters are required")
    sms = _amounts(table, "sms")
    places = sms.keys() - COUNTRIES - {_DEFAULT}
    if places:
        msg = f"sms: no such country: {', '.join(sorted(places))}"
        raise PriceError(msg)
    return Prices(currency, _amounts(table, "email"), sms)


def _amounts(table: Mapping[str, Any], name: str) -> dict[str, int]:
    entries = table.get(name, {})
    if not isinstance(entries, dict):
        msg = f"{name}: a table is required"
        raise PriceError(msg)
    amounts = {}
    for key, value in entries.items():
        micros = micros_of(value) if isinstance(value, str) else None
        if micros is None:
            msg = f'{name}.{key}: a decimal string with at most six places is required, as "0.0400"'
            raise PriceError(msg)
        amounts[key] = micros
    return amounts


def _readable(path: Path) -> Path:
    read_prices(path)
    return path


PricesFile: TypeAlias = Annotated[Path, AfterValidator(_readable)]
"""Of a setting: a table that can be read."""
