"""What a message's events say of its cost."""

from __future__ import annotations

from morpheus_kit.prices import read_prices
from services.dispatcher.cost import Costing, cost_detail, without_cost


def test_details_of_messages() -> None:
    costing = Costing(read_prices(), downgrade=True)
    assert costing.of_email("ses") == {"cost_micros": 100, "cost_currency": "EUR"}
    assert costing.of_email("test") == {}
    detail = costing.of_sms("+447400123456", "a" * 152 + "€" + "a" * 152)
    assert detail == {"segments": 3, "encoding": "gsm7", "cost_micros": 120_000, "cost_currency": "EUR"}
    assert without_cost(detail) == {"segments": 3, "encoding": "gsm7"}
    assert costing.of_sms("+447400123456", "’")["offending"] == "U+2019 RIGHT SINGLE QUOTATION MARK"
    assert cost_detail(None) == {}


def test_text_is_made_plain_only_where_that_is_wanted() -> None:
    assert Costing(read_prices(), downgrade=True).text("It’s") == "It's"
    assert Costing(read_prices(), downgrade=False).text("It’s") == "It’s"
