"""Filters for money, numbers, percentages, dates and times, as the recipient's locale and time zone write them.

The rules are CLDR's, by Babel. A value may be what msgpack carries: a number or a decimal in a string, an amount as
`{amount, currency}`, a timestamp or an ISO 8601 string. Nil and an empty string print as nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from babel import Locale, dates, localedata, numbers
from jinja2 import Undefined, pass_context

from morpheus_kit.reasons import ReasonCode
from services.renderer.failures import FilterError, RenderError
from services.renderer.locales import fallbacks

Filter = Callable[..., str]
MOST_DIGITS = 12
LARGEST_EXPONENT = 18
LONGEST_PATTERN = 100
_CURRENCY = re.compile(r"[A-Z]{3}")
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})


class Formats:
    """The locale and time zone of the message that is rendered now, and the filters that follow them.

    A filter cannot read them from the template's context: macros of imported templates have none.
    """

    def __init__(self) -> None:
        self._locale = "en"
        self._zone = "UTC"
        self.turn = 0
        """Changes with each message."""

    @property
    def locale(self) -> str:
        """Of the message that is rendered now."""
        return self._locale

    @property
    def zone(self) -> str:
        """Of the message that is rendered now."""
        return self._zone

    def use(self, locale: str, zone: str) -> None:
        """From now on; `locale` canonical, `zone` of the time zone database. RenderError when it is not there."""
        self._locale = locale
        self._zone = zone
        self.turn += 1
        time_zone(zone)

    def filters(self, *, plain: bool) -> dict[str, Filter]:
        """By name. `plain` text gets ordinary spaces: others would double what a text message costs."""
        made: dict[str, Filter] = {
            "money": self._money,
            "number": self._number,
            "percent": self._percent,
            "date": self._date,
            "time": self._time,
            "datetime": self._datetime,
        }
        return {name: _filter(name, call, plain=plain) for name, call in made.items()}

    def _money(self, value: Any, currency: str = "") -> str:
        if isinstance(value, Mapping):
            currency = currency or str(value.get("currency") or "")
            value = value.get("amount")
        if not _CURRENCY.fullmatch(currency):
            raise FilterError(f"{currency!r} is not a currency such as 'GBP'")
        return numbers.format_currency(_decimal(value), currency, locale=self._babel())

    def _number(self, value: Any, digits: int | None = None) -> str:
        return str(_pattern("decimal", self._babel(), digits).apply(_decimal(value), self._babel()))

    def _percent(self, value: Any, digits: int = 0) -> str:
        return str(_pattern("percent", self._babel(), digits).apply(_decimal(value), self._babel()))

    def _date(self, value: Any, style: str = "medium") -> str:
        if isinstance(value, str) and len(value) == len("2026-01-31"):
            return dates.format_date(_parsed(value, date), _style(style), locale=self._babel())
        return dates.format_date(self._moment(value).date(), _style(style), locale=self._babel())

    def _time(self, value: Any, style: str = "short", zone: str = "") -> str:
        moment = self._moment(value, zone)
        return dates.format_time(moment, _style(style), tzinfo=_zone_of(moment), locale=self._babel())

    def _datetime(self, value: Any, style: str = "medium", zone: str = "") -> str:
        moment = self._moment(value, zone)
        return dates.format_datetime(moment, _style(style), tzinfo=_zone_of(moment), locale=self._babel())

    def _moment(self, value: Any, zone: str = "") -> datetime:
        """In the zone; a time that names none is UTC."""
        moment = _parsed(value, datetime) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            raise FilterError(f"{value!r} is not a time such as '2026-01-31T09:30:00Z'")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(time_zone(zone or self._zone))

    def _babel(self) -> Locale:
        return babel_locale(self._locale)


@lru_cache(maxsize=256)
def babel_locale(locale: str) -> Locale:
    """What Babel knows of a canonical locale, or of what stands for it."""
    known = next((name for name in fallbacks(locale) if localedata.exists(name.replace("-", "_"))), "en")
    return Locale.parse(known, sep="-")


@lru_cache(maxsize=256)
def time_zone(name: str) -> tzinfo:
    """RenderError when the time zone database has no such zone."""
    try:
        return ZoneInfo(name)
    except (ValueError, TypeError, OSError, KeyError) as exc:
        text = f"context.time_zone: {name!r} is not a time zone such as Europe/London"
        raise RenderError(ReasonCode.RENDER_FAILED, text) from exc


@lru_cache(maxsize=256)
def _pattern(kind: str, locale: Locale, digits: int | None) -> numbers.NumberPattern:
    """The locale's own pattern, with so many decimals."""
    pattern: numbers.NumberPattern = copy(getattr(locale, f"{kind}_formats")[None])
    if digits is not None:
        if not isinstance(digits, int) or not 0 <= digits <= MOST_DIGITS:
            raise FilterError(f"{digits!r} decimals: 0 to {MOST_DIGITS} are possible")
        pattern.frac_prec = (digits, digits)
    return pattern


def _filter(name: str, call: Filter, *, plain: bool) -> Filter:
    """`call` as Jinja2 wants it: errors with the filter's name, and nothing done when a template is compiled."""

    @pass_context  # without it the locale of whoever came first would be compiled into constants
    def apply(_context: object, value: Any, *arguments: Any, **named: Any) -> str:
        if isinstance(value, Undefined) or value is None or value == "":
            return "" if value is None else str(value)
        try:
            text = call(value, *arguments, **named)
        except FilterError as exc:
            raise FilterError(f"filter {name}: {exc}") from exc
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as exc:
            raise FilterError(f"filter {name}: {value!r:.100} cannot be written: {str(exc)[:200]}") from exc
        return text.translate(_SPACES) if plain else text

    return apply


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise FilterError(f"{value!r:.100} is not a number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation as exc:
        raise FilterError(f"{value!r:.100} is not a number") from exc
    if not number.is_finite() or abs(number.adjusted()) > LARGEST_EXPONENT:
        raise FilterError(f"{value!r:.100} is not a number that can be written out")
    return number


_Moment = TypeVar("_Moment", date, datetime)


def _parsed(value: str, kind: type[_Moment]) -> _Moment:
    try:
        return kind.fromisoformat(value)
    except ValueError as exc:
        raise FilterError(f"{value!r:.100} is not a date such as '2026-01-31' or '2026-01-31T09:30:00Z'") from exc


def _style(style: str) -> str:
    """`short`, `medium`, `long`, `full` or a pattern of CLDR, e.g. `d MMMM yyyy`."""
    if not isinstance(style, str) or len(style) > LONGEST_PATTERN:
        raise FilterError(f"{style!r:.100} is not a way to write dates")
    return style


def _zone_of(moment: datetime) -> tzinfo:
    return moment.tzinfo or UTC
