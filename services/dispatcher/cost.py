"""What a message's events say of its size and its cost: `segments`, `encoding`, `cost_micros`, `cost_currency`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from morpheus_kit.prices import Cost, Prices
from morpheus_kit.sms import segments
from morpheus_kit.sms.segments import Segments

Detail = dict[str, Any]


class Costing:
    """One price table, and whether typeset characters of text messages may be made plain."""

    def __init__(self, prices: Prices, *, downgrade: bool) -> None:
        """`downgrade`: where that alone makes a text GSM-7."""
        self._prices = prices
        self._downgrade = downgrade
        self._by_method: dict[str, Detail] = {}

    def text(self, text: str) -> str:
        """The text as it goes out."""
        return segments.downgrade(text) if self._downgrade else text

    def of_email(self, method: str) -> Detail:
        """The same for every email of a method; not to be changed."""
        detail = self._by_method.get(method)
        if detail is None:
            detail = self._by_method[method] = cost_detail(self._prices.of_email(method))
        return detail

    def of_sms(self, number: str, text: str) -> Detail:
        """Of one text message, by the table."""
        size = segments.measure(text)
        return size_detail(size) | cost_detail(self._prices.of_sms(number, size.count))


def size_detail(size: Segments) -> Detail:
    """Segments, encoding, and what keeps a text from GSM-7, by name."""
    detail: Detail = {"segments": size.count, "encoding": size.encoding.value}
    if size.offending:
        detail["offending"] = size.explain()
    return detail


def cost_detail(cost: Cost | None) -> Detail:
    """Nothing where there is no price."""
    return {} if cost is None else {"cost_micros": cost.micros, "cost_currency": cost.currency}


def without_cost(detail: Mapping[str, Any]) -> Detail:
    """Of an attempt that cost nothing."""
    return {key: value for key, value in detail.items() if not key.startswith("cost_")}
