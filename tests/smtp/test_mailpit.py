"""Method `smtp` through the whole stack into a mail server of others, read back over that server's API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack
from tests.smtp.conftest import Mailbox

pytestmark = pytest.mark.timeout(180)
SECONDS = 60.0


def run(stack: Stack, group_id: str, recipients: list[dict[str, Any]], **changes: Any) -> dict[str, dict[str, Any]]:
    """Posts, waits for the end: the messages by address."""
    body = msgpack.packb({**sample.group(group_id, 0, "smtp"), "recipients": recipients, **changes})
    status, reply, _ = stack.post(body)
    assert status == 202, reply
    stack.wait_finished(group_id, SECONDS)
    return {item["address"]: item for item in stack.get("/v1/messages", group_id=group_id, page_size="200")["items"]}


def test_mail_is_read_as_it_was_meant(mailbox: Mailbox, tmp_path: Path) -> None:
    pdf = {"name": "rechnung ü.pdf", "html": "<h1>Invoice</h1>"}
    recipient = {**sample.recipient(0), "first_name": "Åda", "pdf_attachments": [pdf]}
    recipient["s3_attachments"] = [{"path": "bench/outer.html", "name": "outer.html"}]
    with Stack(tmp_path / "home", mailbox.environment) as stack:
        shared = {"from_address": "Zoë <zoe@example.org>", "reply_to": "help@example.org"}
        (message,) = run(stack, "read", [recipient], **shared).values()
        detail = stack.message(message["id"])

    (summary,) = mailbox.messages()
    mail = mailbox.message(summary["ID"])
    assert mail["Subject"] == detail["subject"] == "Invoice INV-000000 for Åda"
    assert mail["From"] == {"Name": "Zoë", "Address": "zoe@example.org"}
    assert mail["To"] == [{"Name": "Åda Of Many", "Address": "person0@example.org"}]
    assert [one["Address"] for one in mail["ReplyTo"]] == ["help@example.org"]
    assert mail["MessageID"] == f"{message['id']}@example.org"
    assert mail["Text"].split() == detail["text"].split()
    assert mail["HTML"].replace("\r\n", "\n").strip() == detail["html"].strip()
    assert [(one["FileName"], one["ContentType"]) for one in mail["Attachments"]] == [
        ("rechnung ü.pdf", "application/pdf"),
        ("outer.html", "text/html"),
    ]
    made, stored = (mailbox.part(summary["ID"], one["PartID"]) for one in mail["Attachments"])
    assert made.startswith(b"%PDF-")
    assert stored == (sample.TEMPLATES / "outer.html").read_bytes()
    assert message["state"] == "sent"
    assert b"Received: from" in mailbox.raw(summary["ID"])


def test_each_message_of_a_group_arrives_once_and_a_refusal_has_the_servers_words(
    mailbox: Mailbox, tmp_path: Path
) -> None:
    recipients = [sample.recipient(index) for index in range(120)]
    recipients[7] = {**recipients[7], "address": "unknown@example.org"}
    with Stack(tmp_path / "home", mailbox.environment) as stack:
        messages = run(stack, "many", recipients)

    refused = messages.pop("unknown@example.org")
    assert (refused["state"], refused["reason"]["code"]) == ("failed", "provider_refused"), refused
    assert {item["state"] for item in messages.values()} == {"sent"}
    arrived = [summary["To"][0]["Address"] for summary in mailbox.messages()]
    assert sorted(arrived) == sorted(messages)


def test_wrong_password_pauses_and_sends_nothing(mailbox: Mailbox, tmp_path: Path) -> None:
    environment = mailbox.environment
    environment["MORPHEUS_SMTP_URL"] = environment["MORPHEUS_SMTP_URL"].replace("p%40ss", "wrong")
    with Stack(tmp_path / "home", environment) as stack:
        status, reply, _ = stack.send("refused", 3, "smtp")
        assert status == 202, json.dumps(reply)
        with pytest.raises(TimeoutError):
            stack.wait_finished("refused", 5)
        group = stack.group("refused")
    assert group["counts"]["failed"] == group["counts"]["sent"] == 0, group
    assert mailbox.messages() == []
