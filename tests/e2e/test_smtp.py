"""Methods `smtp` and `email` through the whole stack, into a real SMTP server; what arrives is parsed back."""

from __future__ import annotations

import email.policy
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest
from aiosmtpd.controller import Controller

from benchmarks import sample
from benchmarks.stack import Stack, free_port
from morpheus_kit import ids

SHARED: dict[str, Any] = {
    "from_address": "Zoë's Büro <hello@büro.example>",
    "reply_to": "Help <help@acme.example>",
    "headers": {"X-Campaign": "Früh"},
    "missing_variables": "empty",
}


class Received(NamedTuple):
    """One mail with its envelope."""

    sender: str
    recipients: list[str]
    content: bytes

    def parsed(self) -> EmailMessage:
        message = BytesParser(policy=email.policy.default).parsebytes(self.content)
        assert isinstance(message, EmailMessage)
        assert [part.defects for part in message.walk() if part.defects] == []
        return message


class Relay:
    """Takes everything, but for one address that it never knows."""

    def __init__(self) -> None:
        self.port = free_port()
        self.received: list[Received] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address.startswith("unknown@"):
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.received.append(Received(envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content))
        return f"250 2.0.0 Ok: queued as Q{len(self.received)}"

    def to(self, address: str) -> Received:
        (found,) = [one for one in self.received if one.recipients == [address]]
        return found


@pytest.fixture
def relay() -> Iterator[Relay]:
    taking = Relay()
    controller = Controller(taking, hostname="127.0.0.1", port=taking.port)
    controller.start()
    yield taking
    controller.stop()


@pytest.fixture
def stack(tmp_path: Path, relay: Relay) -> Iterator[Stack]:
    environment = {"MORPHEUS_SMTP_URL": f"smtp://127.0.0.1:{relay.port}"}
    with Stack(tmp_path, environment) as running:
        yield running


def _post(stack: Stack, group_id: str, method: str, recipients: list[dict[str, Any]]) -> dict[str, Any]:
    post = {**sample.group(group_id, 0, method), **SHARED, "recipients": recipients}
    status, reply, _ = stack.post(msgpack.packb(post))
    assert status == 202, reply
    return stack.wait_finished(group_id, 60)


def _messages(stack: Stack, group_id: str) -> dict[str, dict[str, Any]]:
    return {item["address"]: item for item in stack.get("/v1/messages", group_id=group_id)["items"]}


@pytest.mark.timeout(180)
def test_what_the_relay_receives_parses_back_to_what_was_posted(stack: Stack, relay: Relay) -> None:
    invoice = {"name": "rechnung ü.pdf", "html": "<h1>Invoice</h1>"}
    ada = {**sample.recipient(0), "address": "ada@münchen.example", "first_name": "Åda", "pdf_attachments": [invoice]}
    # A line that is a dot alone would end the mail if it were not stuffed.
    grace = {**sample.recipient(1), "address": "grace@example.com"}
    grace["context"] = {**grace["context"], "total": "\n.\n..\nQUIT\n"}

    group = _post(stack, "smtp", "smtp", [ada, grace])

    assert (group["method"], group["counts"]["sent"]) == ("smtp", 2)
    key = ids.group_key(sample.COMPANY, "smtp")
    detail = stack.message(ids.message_id(sample.COMPANY, "smtp", 0, 0))
    received = relay.to("ada@xn--mnchen-3ya.example")
    assert received.sender == "hello@xn--bro-hoa.example"
    assert max(map(len, received.content.split(b"\r\n"))) <= 998
    assert b"\n" not in received.content.replace(b"\r\n", b"")
    mail = received.parsed()
    headers = Counter(name.lower() for name in mail)
    assert set(headers.values()) == {1}
    assert mail["Message-ID"] == f"<{detail['id']}@xn--bro-hoa.example>"
    assert mail["From"] == "Zoë's Büro <hello@xn--bro-hoa.example>"
    assert mail["To"] == "Åda Of Many <ada@xn--mnchen-3ya.example>"
    assert mail["Reply-To"] == "Help <help@acme.example>"
    assert mail["Subject"] == detail["subject"] == "Invoice INV-000000 for Åda"
    assert mail["MIME-Version"] == "1.0"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Feedback-ID"] == f"{key}:{sample.COMPANY}:transactional:morpheus"
    assert mail["X-Morpheus-Ref"] == f"{detail['accepted_at'][:7].replace('-', '')}-000-{key}-{detail['id']}"
    assert mail["X-Campaign"] == "Früh"
    assert mail["Date"].datetime.tzinfo is not None
    assert not headers.keys() & {"bcc", "return-path", "sender", "list-unsubscribe"}

    parts = [part for part in mail.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html", "application/pdf"]
    assert _unix(parts[0].get_content()) == _unix(detail["text"])
    assert _unix(parts[1].get_content()) == _unix(detail["html"])
    assert parts[2].get_filename() == "rechnung ü.pdf"
    assert parts[2].get_content().startswith(b"%PDF-")

    dotted = relay.to("grace@example.com").parsed().get_body(("html",))
    assert dotted is not None
    assert "\n.\n..\nQUIT\n" in _unix(dotted.get_content())


@pytest.mark.timeout(180)
def test_sent_is_the_last_state_and_the_relays_no_is_a_failure_with_its_words(stack: Stack, relay: Relay) -> None:
    addresses = ["ada@example.com", "unknown@example.com", "delivered@simulator.example.com", "not an address"]
    recipients = [{**sample.recipient(index), "address": address} for index, address in enumerate(addresses)]

    group = _post(stack, "email", "email", recipients)

    assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": 4}
    assert {name: count for name, count in group["counts"].items() if count} == {"sent": 2, "failed": 1, "rejected": 1}
    assert sorted(one.recipients[0] for one in relay.received) == [addresses[0], addresses[2]]
    found = _messages(stack, "email")
    for address in (addresses[0], addresses[2]):
        item = found[address]
        assert (item["method"], item["provider"], item["state"], item["reason"]) == ("email", "smtp", "sent", None)
        assert item["external_id"].startswith("Q")
        assert item["sent_at"] is not None
        assert item["delivered_at"] is None
        assert [event["type"] for event in stack.message(item["id"])["events"]] == ["queued", "sent"]
    refused = found["unknown@example.com"]
    assert (refused["state"], refused["reason"]["code"]) == ("failed", "provider_refused")
    assert "No such user here" in refused["reason"]["text"]
    assert refused["sent_at"] is None
    assert found["not an address"]["reason"]["code"] == "address_invalid"


def _unix(text: str) -> str:
    """Line ends of mail as those of a record; what ends the last line says nothing."""
    return text.replace("\r\n", "\n").rstrip("\n")
