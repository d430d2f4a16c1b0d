"""What a preview counts."""

from __future__ import annotations

from typing import Any

import pytest
from morpheus.intake.v1.intake_pb2 import PreviewGroupResponse, RejectedRecipient
from morpheus.renderer.v1.renderer_pb2 import Failure, PreviewedMessage, SmsSize, Warning  # noqa: A004  a message's name

from morpheus_kit.prices import Prices, read_prices
from morpheus_kit.queue.schema import QueuedMessage
from services.intake import tally
from services.intake.tally import Tally


def message(index: int, address: str = "ada@example.com") -> QueuedMessage:
    return QueuedMessage(1, f"m{index}", index, 0, 0, address)


def count(
    *previewed: tuple[int, dict[str, Any]],
    prices: Prices | None = None,
    method: str = "ses",
    rejected: tuple[int, ...] = (),
    address: str = "ada@example.com",
) -> PreviewGroupResponse:
    counted = Tally(prices or read_prices(), method)
    for index, fields in previewed:
        counted.add(message(index, address), PreviewedMessage(id=f"m{index}", **fields))
    return counted.response([RejectedRecipient(index=index, code="address_invalid") for index in rejected])


FAILED = {"failure": Failure(code="render_failed", text="no")}


def test_errors_come_in_posting_order() -> None:
    answer = count((3, FAILED), (0, FAILED), (2, {}), rejected=(1,))
    assert [(each.index, each.code) for each in answer.errors] == [
        (0, "render_failed"),
        (1, "address_invalid"),
        (3, "render_failed"),
    ]
    assert answer.cost_micros == 100, "only what would go out costs"


def test_errors_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_ERRORS", 2)
    answer = count((3, FAILED), (0, FAILED), rejected=(1, 2))
    assert [each.index for each in answer.errors] == [0, 1]
    [warning] = answer.warnings
    assert (warning.code, warning.count, warning.index) == ("errors_cut", 2, 2)


def test_a_warning_tells_of_its_first_message_in_whatever_order_they_come() -> None:
    def warned(text: str) -> dict[str, Any]:
        return {"warnings": [Warning(code="html_large", text=text)]}

    answer = count((5, warned("five")), (1, warned("one")), (9, warned("nine")))
    assert [(each.text, each.count, each.index) for each in answer.warnings] == [("one", 3, 1)]


def test_samples_are_the_first_ones_in_whatever_order_they_come() -> None:
    answer = count(*((index, {"subject": f"s{index}"}) for index in (8, 1, 7, 3, 0, 5, 6)))
    assert [each.index for each in answer.samples] == [0, 1, 3, 5, 6]


def test_samples_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_SAMPLE_BYTES", 250)
    answer = count(*((index, {"text": "x" * 100}) for index in range(4)))
    assert [each.index for each in answer.samples] == [0, 1]


def test_texts_cost_their_segments_and_no_price_is_no_cost() -> None:
    sms = {"sms": SmsSize(segments=3)}
    answer = count((0, sms), (1, sms), address="+447700900123", method="sms")
    assert (answer.segments, answer.cost_micros, answer.cost_currency) == (6, 240_000, "EUR")
    answer = count((0, {}), (1, {}), method="test")
    assert (answer.segments, answer.HasField("cost_micros"), answer.cost_currency) == (0, False, "")
