from typing import Any

import msgpack
import pytest
from morpheus.intake.v1.intake_pb2 import GroupHeader

from morpheus_kit import wire
from morpheus_kit.errors import InvalidInputError, NotSupportedError
from morpheus_kit.queue.elements import unpack_element
from morpheus_kit.queue.schema import unpack_message
from services.intake import recipients
from services.intake.recipients import Part
from services.intake.violations import Violations

HEADER = GroupHeader(group_id="g", company_code="acme", part=2, outer_template="o.html", subject_template="Hi")


def part(*, email_only: bool = False, header: GroupHeader = HEADER) -> Part:
    return Part(header, email_only, 1_780_000_000_000, Violations())


def add(target: Part, *items: Any) -> list[bytes]:
    decoded = wire.decode_recipients(msgpack.packb(list(items)), target.total)
    return target.add(decoded)


def test_indices_go_on_from_chunk_to_chunk() -> None:
    target = part()
    elements = add(target, {"address": "a@b.de"}) + add(target, {"address": "nonsense"}, {"address": "c@b.de"})
    assert [unpack_message(unpack_element(element).blob).index for element in elements] == [0, 2]
    assert (target.total, target.accepted, [item.index for item in target.rejected]) == (3, 2, [1])


def test_duplicates_are_counted_whatever_their_case_and_wherever_they_stand() -> None:
    target = part()
    add(target, {"address": "a@b.de"}, {"address": "A@B.de"})
    add(target, {"address": "a@b.de"}, {"address": "c@b.de"})
    assert target.duplicates == 2


def test_nil_context_is_an_empty_one() -> None:
    (element,) = add(part(), {"address": "a@b.de", "context": None})
    assert bytes(unpack_message(unpack_element(element).blob).context) == b"\x80"


def test_a_number_is_a_text_message_only_where_the_address_decides() -> None:
    target = part()
    add(target, {"address": "+447700900123"})
    with pytest.raises(NotSupportedError):
        target.violations.raise_if_any()
    target = part(email_only=True)
    add(target, {"address": "+447700900123"})
    target.violations.raise_if_any()
    assert target.rejected[0].code == "address_invalid"


def test_email_needs_are_asked_for_once_and_only_for_email() -> None:
    bare = GroupHeader(group_id="g", company_code="acme")
    target = part(header=bare)
    add(target, {"address": "nonsense"})
    assert not target.violations
    add(target, {"address": "a@b.de"}, {"address": "c@b.de"})
    with pytest.raises(InvalidInputError) as caught:
        target.violations.raise_if_any()
    assert [item.path for item in caught.value.violations] == ["outer_template", "subject_template"]


def test_too_many_impossible_addresses_refuse_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "MAX_REJECTED", 2)
    target = part()
    add(target, {"address": "x"}, {"address": "y"})
    with pytest.raises(InvalidInputError, match="impossible"):
        add(target, {"address": "z"})


def test_files_of_rejected_recipients_are_not_kept_nor_contexts_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipients, "_KEPT_BYTES", 100)
    target = part()
    entry = {
        "address": "x" * 1000,
        "context": {"a": "y" * 200},
        "pdf_attachments": [{"name": "a.pdf", "html": "<p>"}],
    }
    add(target, entry, entry)
    first, second = (unpack_message(blob) for blob in target.rejected_blobs)
    assert (first.pdfs, bytes(second.context)) == ([], b"\x80")
    assert len(bytes(first.context)) > 200
    assert len(first.address) == 320
