"""What must not be recorded is taken out of messages, records, events and shared information."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from morpheus_kit.queue.schema import (
    Event,
    MessageRecord,
    PdfSource,
    QueuedMessage,
    SharedInfo,
    StoredFile,
    pack,
    unpack_message,
)
from morpheus_kit.queue.withholding import kept_blob, kept_event, kept_message, kept_record, kept_shared

CONTEXT = {"code": "914477", "name": "Ada", "at": msgspec.msgpack.Ext(5, b"x")}


def message(withheld: list[str] | None) -> QueuedMessage:
    context = msgspec.Raw(msgspec.msgpack.encode(CONTEXT))
    files = [PdfSource("a.pdf", "<p>914477</p>")], [StoredFile("914477.pdf")]
    return QueuedMessage(1, "id", 0, 0, 5, "ada@example.com", "Ada", "L", "link", ["t"], context, *files, "", withheld)


def context_of(value: QueuedMessage | SharedInfo) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.msgpack.decode(value.context)
    return found


def test_without_a_word_everything_is_kept() -> None:
    whole = message(None)
    record = MessageRecord("ref", "acme", "g", pack(whole), True, "Hi", "<p>", "text")
    shared = SharedInfo(1, "acme", "g", "test", "test", "a.html", context=whole.context)
    assert kept_message(whole) is whole
    assert kept_record(record, whole) is record
    assert kept_shared(shared) is shared
    assert kept_blob(record.blob) == record.blob


@pytest.mark.parametrize(("withheld", "left"), [([], set()), (["code"], {"name", "at"}), (["x"], set(CONTEXT))])
def test_values_bodies_and_files_go_and_the_rest_stays(withheld: list[str], left: set[str]) -> None:
    whole = message(withheld)
    record = kept_record(MessageRecord("ref", "acme", "g", pack(whole), True, "Your 914477", "<p>914477", "x"), whole)
    kept = unpack_message(record.blob)
    assert set(context_of(kept)) == left
    assert (kept.pdfs, kept.files, record.subject, record.html, record.text) == ([], [], "", "", "")
    assert (kept.address, kept.first_name, kept.tags, kept.withheld) == ("ada@example.com", "Ada", ["t"], withheld)
    assert record.rendered
    assert kept_blob(pack(whole)) == record.blob


def test_shared_values_go_too() -> None:
    shared = SharedInfo(
        1, "acme", "g", "test", "test", "a.html", context=message(None).context, withheld=["code", "at"]
    )
    assert context_of(kept_shared(shared)) == {"name": "Ada"}


def test_what_is_no_message_is_left_alone() -> None:
    assert kept_blob(b"\xff") == b"\xff"


def test_events_keep_codes_and_sizes() -> None:
    detail: dict[str, Any] = {"url": "https://example.com/914477", "segments": 2, "offending": "9", "cost_micros": 5}
    told = Event("ref", "clicked", 0, 7, "ses", "refused", "said 914477", "https://example.com/914477", detail=detail)
    kept = kept_event(told)
    assert b"914477" not in pack(kept)
    assert (kept.type, kept.reason_code, kept.detail) == ("clicked", "refused", {"segments": 2, "cost_micros": 5})
    own = Event("ref", "failed", 1, 7, "us", "x", "text", "which")
    assert kept_event(own).discriminator == "which"
