from typing import Any

import msgpack
import pytest
from morpheus.intake.v1.intake_pb2 import GroupHeader

from morpheus_kit import wire
from morpheus_kit.errors import InvalidInputError
from morpheus_kit.queue.elements import unpack_element
from morpheus_kit.queue.schema import unpack_message
from services.intake import recipients
from services.intake.recipients import Part
from services.intake.violations import Violations

HEADER = GroupHeader(group_id="g", company_code="acme", part=2, outer_template="o.html", subject_template="Hi")


TEXT = GroupHeader(group_id="g", company_code="acme", from_address="ACME", country_code="GB")


def part(*, email_only: bool = False, sms_only: bool = False, header: GroupHeader = HEADER) -> Part:
    return Part(header, email_only, 1_780_000_000_000, Violations(), sms_only=sms_only)


def addresses(elements: list[bytes]) -> list[str]:
    return [unpack_message(unpack_element(element).blob).address for element in elements]


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
    target = part(header=TEXT)
    assert addresses(add(target, {"address": "07700 900123"})) == ["+447700900123"]
    target.violations.raise_if_any()
    target = part(email_only=True)
    add(target, {"address": "+447700900123"})
    target.violations.raise_if_any()
    assert target.rejected[0].code == "address_invalid"


def test_one_number_in_two_writings_is_a_duplicate() -> None:
    target = part(header=TEXT, sms_only=True)
    add(target, {"address": "07700 900123"}, {"address": "+44 7700 900-123"}, {"address": "nobody"})
    assert (target.total, target.accepted, target.duplicates) == (3, 2, 1)


def test_what_is_no_number_is_rejected_with_the_reason() -> None:
    target = part(header=TEXT, sms_only=True)
    items = [{"address": "+44 74"}, {"address": "a@b.de"}, {"address": "+999 1234567"}, {"address": "07400 123456"}]
    assert addresses(add(target, *items)) == ["+447400123456"]
    assert [(item.index, item.code) for item in target.rejected] == [(n, "address_invalid") for n in range(3)]
    assert target.rejected[0].text == "The number is not a valid one: it is too short."


@pytest.mark.parametrize("address", ["+1 415 555 2671", "+1 613 555 0172"])
def test_a_country_that_refuses_names_rejects_the_recipient(address: str) -> None:
    target = part(header=TEXT, sms_only=True)
    assert add(target, {"address": address}) == []
    assert target.rejected[0].code == "sender_refused"
    number = GroupHeader(group_id="g", company_code="acme", from_address="+14155550100")
    assert len(add(part(header=number, sms_only=True), {"address": address})) == 1


def test_text_needs_are_asked_for_once_and_only_for_text() -> None:
    header = GroupHeader(group_id="g", company_code="acme", outer_template="o.html", from_address="a@b.de")
    header.headers["X-A"] = "1"
    target = part(header=header)
    add(target, {"address": "nonsense"})
    assert not target.violations
    add(target, {"address": "+447700900123"}, {"address": "+447700900124"})
    with pytest.raises(InvalidInputError) as caught:
        target.violations.raise_if_any()
    assert [item.path for item in caught.value.violations] == ["outer_template", "headers", "from_address"]


def test_a_text_message_has_no_files() -> None:
    target = part(header=TEXT, sms_only=True)
    files = {"pdf_attachments": [{"name": "a.pdf", "html": ""}], "s3_attachments": [{"path": "a.pdf"}]}
    add(target, {"address": "+447700900123", **files})
    with pytest.raises(InvalidInputError) as caught:
        target.violations.raise_if_any()
    assert [item.path for item in caught.value.violations] == [
        "recipients[0].pdf_attachments",
        "recipients[0].s3_attachments",
    ]


def test_email_from_a_name_is_refused() -> None:
    target = part(
        header=GroupHeader(
            from_address="ACME", outer_template="o", subject_template="s", company_code="c", group_id="g"
        )
    )
    add(target, {"address": "a@b.de"})
    with pytest.raises(InvalidInputError, match="from_address"):
        target.violations.raise_if_any()


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
