"""The main job as an upstream application sees it: one signed post, and what can be read after."""

from __future__ import annotations

import email
import email.policy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack

SIMULATED = {
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "bounced": "bounced",
    "soft-bounced": "bounced",
    "late-bounced": "bounced",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
    "refused": "failed",
    "throttled": "delivered",
    "timeout-sent": "delivered",
    "timeout-lost": "delivered",
    "early-receipt": "delivered",
    "repeated-receipt": "delivered",
}


def _simulated(what: str) -> dict[str, Any]:
    return {**sample.recipient(0), "address": f"{what}@simulator.example.com", "tags": [what]}


@pytest.mark.timeout(180)
def test_one_post_is_rendered_sent_recorded_and_found_again(stack: Stack, tmp_path: Path) -> None:
    recipients = [sample.recipient(index) for index in range(20)]
    recipients[3]["pdf_attachments"] = [{"name": "invoice.pdf", "html": "<h1>Invoice</h1>"}]
    recipients[4]["address"] = "not an address"
    del recipients[5]["context"]["number"]
    post = {**sample.group("main", 0), "recipients": recipients}
    body = msgpack.packb(post)

    status, preview, _ = stack.post(body, "/v1/preview")

    assert status == 200
    assert [(each["index"], each["reason"]["code"]) for each in preview["errors"]] == [
        (4, "address_invalid"),
        (5, "variable_missing"),
    ]
    assert [each["index"] for each in preview["samples"]] == [0, 1, 2, 3, 6]
    assert [each["name"] for each in preview["samples"][3]["attachments"]] == ["invoice.pdf"]
    assert stack.get("/v1/groups")["items"] == stack.get("/v1/messages")["items"] == [], "a preview writes nothing"
    assert not list((stack.home / "outbox").iterdir())

    status, reply, _ = stack.post(body)

    assert status == 202
    assert (reply["total"], reply["accepted"], reply["duplicates"], reply["replayed"]) == (20, 19, 0, False)
    assert [(item["index"], item["reason"]["code"]) for item in reply["rejected"]] == [(4, "address_invalid")]
    group = stack.wait_finished("main", 60)
    assert group["progress"] == {"waiting": 0, "sending": 0, "uncertain": 0, "ended": 20}
    assert (group["counts"]["delivered"], group["counts"]["rejected"]) == (18, 2)

    listed = stack.get("/v1/messages", group_id="main", state="rejected")["items"]
    reasons = {item["address"]: item["reason"] for item in listed}
    assert reasons["person5@example.org"]["code"] == "variable_missing"
    assert "number" in reasons["person5@example.org"]["text"]

    found = stack.get("/v1/messages", q="Person3 inv-000003", tag="client-3")["items"]
    assert [item["address"] for item in found] == ["person3@example.org"]
    detail = stack.message(found[0]["id"])
    assert detail["subject"] == "Invoice INV-000003 for Person3"
    assert [each["name"] for each in detail["attachments"]] == ["invoice.pdf"]
    assert [event["type"] for event in detail["events"]][-2:] == ["sent", "delivered"]

    mail = email.message_from_bytes(
        (tmp_path / "outbox" / f"{detail['id']}.eml").read_bytes(), policy=email.policy.default
    )
    assert mail["To"] == "Person3 Of Many <person3@example.org>"
    assert [part.get_content_type() for part in mail.walk() if not part.is_multipart()] == [
        "text/plain",
        "text/html",
        "application/pdf",
    ]

    described = stack.get("/openapi.json")["components"]["schemas"]
    for name, answer in (("Accepted", reply), ("Group", group), ("Message", found[0]), ("MessageDetail", detail)):
        assert set(answer) == set(described[name]["properties"]) == set(described[name]["required"]), name

    again, replay, _ = stack.post(body)
    assert (again, replay["replayed"], replay["rejected"]) == (200, True, reply["rejected"])
    other, conflict, _ = stack.post(msgpack.packb({**post, "recipients": recipients[:1]}))
    assert (other, conflict["code"]) == (409, "conflict")


@pytest.mark.timeout(180)
def test_simulator_addresses_play_every_ending(stack: Stack, tmp_path: Path) -> None:
    recipients = [_simulated(what) for what in SIMULATED]

    status, _, _ = stack.post(msgpack.packb({**sample.group("simulated", 0), "recipients": recipients}))

    assert status == 202
    stack.wait_finished("simulated", 90)
    # Receipts may come after the group is finished: wait for the last of them.
    ended = _wait_for_states(stack, SIMULATED)
    assert ended == SIMULATED
    calls = Counter(json.loads(line)["id"] for line in (tmp_path / "outbox" / "calls.jsonl").read_text().splitlines())
    twice = {item["tags"][-1] for item in _items(stack) if calls[item["id"]] > 1}
    assert twice <= {"throttled", "timeout-lost"}


@pytest.mark.timeout(120)
def test_missing_template_fails_every_message_with_its_name(stack: Stack) -> None:
    post = {**sample.group("broken", 7), "inner_template": "bench/nowhere.html"}

    assert stack.post(msgpack.packb(post))[0] == 202

    group = stack.wait_finished("broken", 60)
    assert group["counts"]["rejected"] == 7
    reason = stack.get("/v1/messages", group_id="broken")["items"][0]["reason"]
    assert reason["code"] == "template_missing"
    assert "bench/nowhere.html" in reason["text"]


def _items(stack: Stack) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = stack.get("/v1/messages", group_id="simulated")["items"]
    return items


def _wait_for_states(stack: Stack, wanted: dict[str, str]) -> dict[str, str]:
    for _ in range(200):
        states = {item["tags"][-1]: item["state"] for item in _items(stack)}
        if states == wanted:
            break
    return states
