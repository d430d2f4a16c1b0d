"""Numbers with method `test` through the whole stack: text files, segments and cost in what is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack

TEXTS = {
    "+447700900101": "Hello Ann",
    "+447700900102": "a" * 152 + "€" + "a" * 152,
    "+14155550103": "x" * 160,
    "+447700900104": "It’s here",
}


def group(group_id: str, recipients: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    post = {
        "group_id": group_id,
        "company_code": sample.COMPANY,
        "method": "test",
        "inner_template": "bench/text.txt",
        "from_address": "+44 7700 900 100",
        "recipients": recipients,
    }
    return post | changes


def messages(stack: Stack, group_id: str) -> dict[str, dict[str, Any]]:
    items = stack.get("/v1/messages", group_id=group_id)["items"]
    return {item["address"]: stack.message(item["id"]) for item in items}


@pytest.mark.timeout(180)
def test_a_group_of_numbers_is_text_files_with_segments_and_cost(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "templates" / "bench" / "text.txt").write_text("{{ text }}")
    recipients = [{"address": address, "context": {"text": text}} for address, text in TEXTS.items()]
    recipients[0]["address"] = "07700 900101"
    recipients.append({"address": "07700 90", "context": {"text": "never"}})

    status, reply, _ = stack.post(msgpack.packb(group("texts", recipients)))
    assert status == 202, reply
    assert [(item["index"], item["reason"]["code"]) for item in reply["rejected"]] == [(4, "address_invalid")]
    assert stack.wait_finished("texts", 60)["counts"]["rejected"] == 1

    found = messages(stack, "texts")
    for address, text in TEXTS.items():
        assert (tmp_path / "outbox" / f"{found[address]['id']}.txt").read_text() == text
        assert found[address]["text"] == text
    segments = {address: found[address]["segments"] for address in TEXTS}
    assert list(segments.values()) == [1, 3, 1, 1]
    costs = [found[address]["cost"] for address in TEXTS]
    assert costs == [{"amount": amount, "currency": "EUR"} for amount in ("0.04", "0.12", "0.008", "0.04")]
    (sent,) = [event for event in found["+447700900104"]["events"] if event["type"] == "sent"]
    assert sent["detail"]["encoding"] == "ucs2"
    assert sent["detail"]["offending"] == "U+2019 RIGHT SINGLE QUOTATION MARK"
    assert found["07700 90"]["segments"] is None
    assert not (tmp_path / "outbox" / f"{found['07700 90']['id']}.txt").exists()


@pytest.mark.timeout(180)
def test_a_name_is_no_sender_for_a_country_that_refuses_names(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "templates" / "bench" / "text.txt").write_text("Hello")
    numbers = [{"address": "4155550103"}, {"address": "+447700900101"}]
    status, reply, _ = stack.post(msgpack.packb(group("names", numbers, from_address="ACME", country_code="US")))
    assert status == 202, reply
    (rejected,) = reply["rejected"]
    assert (rejected["index"], rejected["reason"]["code"]) == (0, "sender_refused")
    counts = stack.wait_finished("names", 60)["counts"]
    assert counts["rejected"] == 1
