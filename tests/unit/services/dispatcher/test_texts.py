"""What becomes of a rendered text message before its provider, and of its cost after."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from morpheus.renderer.v1 import renderer_pb2

from morpheus_kit.clock import ManualClock
from morpheus_kit.prices import read_prices
from morpheus_kit.queue import schema
from morpheus_kit.queue.elements import Element
from services.dispatcher.composition import Rejected, compose
from services.dispatcher.cost import Costing
from services.dispatcher.groups import make_group
from services.dispatcher.providers.test import TestProvider
from services.dispatcher.receipts import ReceiptRunner
from services.dispatcher.results import Held, event_detail

NUMBER = "+447700900123"
SHARED = schema.SharedInfo(schema.VERSION, "acme", "g", "test", "test", "text.txt", from_address="ACME")


def composed(text: str, *, downgrade: bool = False) -> tuple[list[Held], list[Rejected]]:
    clock = ManualClock()
    message = schema.QueuedMessage(schema.VERSION, "id", 0, 0, 1, NUMBER)
    rendered = renderer_pb2.RenderedMessage(id="id", text=text)
    held = Held("1-0", Element(1, 0, "id", schema.pack(message)), message, rendered)
    provider = TestProvider("", ReceiptRunner({}, clock), clock, 0.001)
    costing = Costing(read_prices(), downgrade=downgrade)
    return compose([held], make_group("acme/g", SHARED), datetime.now(UTC), provider, costing)


def test_a_text_goes_out_as_rendered() -> None:
    ((held,), _) = composed("It’s “here”")
    assert (held.address, held.payload.decode()) == (NUMBER, "It’s “here”")
    assert held.detail["encoding"] == "ucs2"


def test_a_text_is_made_plain_where_that_is_wanted_and_recorded_so() -> None:
    ((held,), _) = composed("It’s “here”", downgrade=True)
    assert held.rendered is not None
    assert held.payload.decode() == held.rendered.text == 'It\'s "here"'
    assert held.detail == {"segments": 1, "encoding": "gsm7", "cost_micros": 40_000, "cost_currency": "EUR"}


def test_an_empty_text_is_rejected() -> None:
    ready, (rejected,) = composed("")
    assert ready == []
    assert (rejected.code, rejected.text) == ("render_failed", "the text is empty")


@pytest.mark.parametrize(
    ("result", "told", "detail"),
    [
        ("sent", {}, {"segments": 1, "cost_micros": 4, "cost_currency": "EUR"}),
        ("uncertain", {}, {"segments": 1, "cost_micros": 4, "cost_currency": "EUR"}),
        ("sent", {"cost_micros": 7, "cost_currency": "USD"}, {"segments": 1, "cost_micros": 7, "cost_currency": "USD"}),
        ("failed", {}, {"segments": 1}),
        ("retry", {}, {"segments": 1}),
        ("throttled", {}, {"segments": 1}),
    ],
)
def test_only_what_may_have_gone_out_has_a_cost(result: Any, told: dict[str, Any], detail: dict[str, Any]) -> None:
    own = {"segments": 1, "cost_micros": 4, "cost_currency": "EUR"}
    assert event_detail(own, told, result) == detail
