"""Emails as the fields of an API."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from morpheus_kit.queue.schema import VERSION, SharedInfo
from services.dispatcher.fields import FieldsComposer
from services.dispatcher.headers import AddressError
from services.dispatcher.mime import Attached

PREFIX = "202611-000-0a1b2c3d"
MESSAGE = "c0ffee00-0000-5000-8000-000000000000"


def shared(**more: Any) -> SharedInfo:
    values: dict[str, Any] = {"from_address": "Acmé <hello@münchen.example>", "reference_prefix": PREFIX}
    return SharedInfo(VERSION, "acme", "g", "mandrill", "mandrill", "letter.html", **(values | more))


def compose(info: SharedInfo, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"subject": "Hi\r\nBcc: x", "text": "t", "html": "<p>h</p>"}
    payload = FieldsComposer(info).compose(MESSAGE, "Ann Li", "ann@example.org", **(values | more))
    found: dict[str, Any] = json.loads(payload)
    return found


def test_fields_of_a_message() -> None:
    message = compose(shared(reply_to="Help <help@acme.example>", headers={"X-Own": "1", "Subject": "no"}))
    assert message["from_email"] == "hello@xn--mnchen-3ya.example"
    assert message["from_name"] == "Acmé"
    assert message["to"] == [{"email": "ann@example.org", "name": "Ann Li", "type": "to"}]
    assert (message["subject"], message["text"], message["html"]) == ("Hi Bcc: x", "t", "<p>h</p>")
    assert message["headers"] == {
        "X-Own": "1",
        "Reply-To": "Help <help@acme.example>",
        "Auto-Submitted": "auto-generated",
        "Feedback-ID": message["headers"]["Feedback-ID"],
        "Message-ID": f"<{MESSAGE}@xn--mnchen-3ya.example>",
        "X-Morpheus-Ref": f"{PREFIX}-{MESSAGE}",
    }
    assert message["headers"]["Feedback-ID"].endswith(":acme:transactional:morpheus")
    assert "subaccount" not in message
    assert "attachments" not in message


def test_a_message_with_a_link_can_be_unsubscribed_from_with_one_click() -> None:
    found = compose(shared(stream="newsletter"), unsubscribe_url="https://mail.example.com/u/x")["headers"]
    assert found["List-Unsubscribe"] == "<https://mail.example.com/u/x>"
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert found["Feedback-ID"].endswith(":acme:newsletter:morpheus")
    assert "Auto-Submitted" not in found


@pytest.mark.parametrize(
    "name", ["merge", "auto_text", "auto_html", "inline_css", "view_content_link", "preserve_recipients"]
)
def test_the_api_rewrites_nothing(name: str) -> None:
    assert compose(shared())[name] is False


def test_the_metadata_is_the_reference_and_short_enough() -> None:
    metadata = compose(shared())["metadata"]
    assert metadata == {"reference": f"{PREFIX}-{MESSAGE}"}
    assert len(json.dumps(metadata)) <= 200


def test_only_tags_of_the_group_that_the_api_can_keep() -> None:
    assert compose(shared(tags=["a", "_b", "c" * 50, "d" * 51]))["tags"] == ["a", "c" * 50]


def test_subaccount_and_attachments() -> None:
    message = compose(shared(subaccount="s1"), attachments=[Attached("a.pdf", "application/pdf", b"\x00\xff")])
    assert message["subaccount"] == "s1"
    ((kind, name, content),) = [tuple(each.values()) for each in message["attachments"]]
    assert (kind, name, b64decode(content)) == ("application/pdf", "a.pdf", b"\x00\xff")


def test_a_sender_that_cannot_be_written() -> None:
    with pytest.raises(AddressError):
        FieldsComposer(shared(from_address="nobody"))
