"""Contracts §1: a test for every row of the table of keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from morpheus_kit.queue.schema import unpack_shared
from tests.contract.stack import START_MS, Stack, group, pack

NOW = datetime.fromtimestamp(START_MS / 1000, UTC)


def one(**recipient: Any) -> dict[str, Any]:
    """A change: one recipient with these fields."""
    return {"recipients": [{"address": "ada@example.com", **recipient}]}


TEXT: dict[str, Any] = {"outer_template": None, "subject_template": None, "from_address": "ACME"}
NUMBER = {"recipients": [{"address": "07700 900123"}]}

ACCEPTED: list[dict[str, Any]] = [
    TEXT | NUMBER,
    TEXT | NUMBER | {"method": "sms"},
    TEXT | NUMBER | {"country_code": "GB", "from_address": "+44 7700 900 000"},
    TEXT | {"method": "sms", "country_code": "US", "from_address": "24680", "recipients": [{"address": "4155550100"}]},
    {"country_code": None},
    {"group_id": "A-z_0.9"},
    {"group_id": "x" * 64},
    {"company_code": "harbour"},
    {"part": 3},
    {"part": 1, "parts": 2},
    {"parts": None},
    {"record": "full"},
    {"record": None, "redact": None},
    {"record": "no_body", "redact": ["password"]},
    {"redact": ["x" * 256] * 50},
    {"method": "smtp"},
    {"method": "email"},
    {"method": "ses"},
    {"method": "mandrill", "subaccount": "s1"},
    {"inner_template": "folder/order.html"},
    {"context": {}},
    {"context": {"a": [1, {"b": None}]}},
    {"from_address": "a@example.com"},
    {"from_address": '"Books, Ltd" <a@example.com>'},
    {"from_address": "Bücher <a@bücher.example>"},
    {"reply_to": "Help <help@example.com>"},
    {"reply_to": None},
    {"subaccount": None, "cost_limit": None, "unsubscribe": None, "track_opens": None, "track_clicks": None},
    {"tags": ["x" * 256] * 50},
    {"headers": {"X-Campaign": "Frühling", "Precedence": "bulk"}},
    {"priority": "normal"},
    {"priority": "high"},
    {"send_at": NOW + timedelta(days=31)},
    {"send_at": "2026-05-28T22:26:41+02:00"},
    {"send_at": "2020-01-01T00:00:00Z"},
    {"send_at": datetime(1969, 1, 1, tzinfo=UTC)},
    {"expires_at": "2020-01-01T00:00:00Z"},
    {"send_at": NOW + timedelta(hours=1), "expires_at": NOW + timedelta(hours=2)},
    {"send_at": None, "expires_at": None},
    {"missing_variables": "error"},
    {"missing_variables": "empty"},
    {"on_uncertain": "resend"},
    {"on_uncertain": "give_up"},
    {"on_uncertain": None},
    {"stream": "transactional"},
    {"unsubscribe": False},
    {"unsubscribe": True},
    {"stream": "newsletter"},
    {"stream": "a-1" + "x" * 29, "unsubscribe": False},
    TEXT | NUMBER | {"method": "sms", "stream": "offers"},
    {"outer_template": None, "subject_template": None, "recipients": [{"address": "nonsense"}]},
    one(first_name="Ada", last_name="L", user_link="https://example.com/ada", tags=["a"], context={"b": 1}),
    one(pdf_attachments=[{"name": "invoice.pdf", "html": "<p>1</p>"}]),
    {"inner_template": "news.md"},
    one(s3_attachments=[{"path": "files/terms.pdf"}, {"path": "a.md", "name": "notes.md"}]),
    one(s3_attachments=[{"path": "s3://listed/terms.pdf"}]),
    {"outer_template": "s3://listed/outer.html", "inner_template": "s3://listed/deep/inner.html"},
    one(first_name=None, last_name=None, user_link=None, tags=None, context=None, pdf_attachments=None),
]

INVALID: list[tuple[dict[Any, Any], str]] = [
    (TEXT | NUMBER | {"method": "sms", "outer_template": "o.html"}, "outer_template"),
    (TEXT | NUMBER | {"method": "sms", "subject_template": "Hi"}, "subject_template"),
    (TEXT | NUMBER | {"method": "sms", "reply_to": "a@example.com"}, "reply_to"),
    (TEXT | NUMBER | {"method": "sms", "headers": {"X-A": "1"}}, "headers"),
    (TEXT | NUMBER | {"method": "sms", "from_address": "a@example.com"}, "from_address"),
    (TEXT | NUMBER | {"method": "sms", "from_address": "Twelve chars"}, "from_address"),
    (TEXT | NUMBER | {"outer_template": "o.html"}, "outer_template"),
    (TEXT | NUMBER | {"from_address": "a@example.com"}, "from_address"),
    ({"from_address": "ACME"}, "from_address"),
    ({"country_code": "UK"}, "country_code"),
    ({"country_code": "gb"}, "country_code"),
    ({"group_id": ...}, "group_id"),
    ({"group_id": ""}, "group_id"),
    ({"group_id": "x" * 65}, "group_id"),
    ({"group_id": "a/b"}, "group_id"),
    ({"group_id": "a b"}, "group_id"),
    ({"group_id": "a\n"}, "group_id"),
    ({"group_id": "ä"}, "group_id"),
    ({"group_id": 5}, "group_id"),
    ({"group_id": None}, "group_id"),
    ({"group_id": b"bytes"}, "group_id"),
    ({"part": -1}, "part"),
    ({"part": 2**31}, "part"),
    ({"part": "0"}, "part"),
    ({"part": True}, "part"),
    ({"part": 1.5}, "part"),
    ({"part": 2, "parts": 2}, "part"),
    ({"parts": 0}, "parts"),
    ({"parts": "2"}, "parts"),
    ({"company_code": ...}, "company_code"),
    ({"company_code": 5}, "company_code"),
    ({"method": ...}, "method"),
    ({"method": "fax"}, "method"),
    ({"method": ""}, "method"),
    ({"method": 5}, "method"),
    ({"outer_template": ...}, "outer_template"),
    ({"outer_template": None}, "outer_template"),
    ({"outer_template": ..., "method": "smtp"}, "outer_template"),
    ({"outer_template": ""}, "outer_template"),
    ({"outer_template": 5}, "outer_template"),
    ({"inner_template": ...}, "inner_template"),
    ({"inner_template": ""}, "inner_template"),
    ({"inner_template": "/etc/passwd"}, "inner_template"),
    ({"inner_template": "../secret.html"}, "inner_template"),
    ({"inner_template": "a/../../secret.html"}, "inner_template"),
    ({"inner_template": "a//b.html"}, "inner_template"),
    ({"inner_template": "a\\..\\b.html"}, "inner_template"),
    ({"inner_template": "a\0.html"}, "inner_template"),
    ({"inner_template": "x" * 1025}, "inner_template"),
    ({"subject_template": ...}, "subject_template"),
    ({"subject_template": ""}, "subject_template"),
    ({"subject_template": ..., "method": "email"}, "subject_template"),
    ({"subject_template": ["x"]}, "subject_template"),
    ({"context": []}, "context"),
    ({"context": None}, "context"),
    ({"context": {"a": b"bytes"}}, "context.a"),
    ({"context": {"a": float("inf")}}, "context.a"),
    ({"context": {"a": {5: 1}}}, "context.a"),
    ({"from_address": ...}, "from_address"),
    ({"from_address": ""}, "from_address"),
    ({"from_address": "nonsense"}, "from_address"),
    ({"from_address": "Name <a@example.com"}, "from_address"),
    ({"from_address": "A\r\nBcc: x@example.com <a@example.com>"}, "from_address"),
    ({"from_address": "ä@example.com"}, "from_address"),
    ({"reply_to": "nonsense"}, "reply_to"),
    ({"reply_to": 5}, "reply_to"),
    ({"tags": "a"}, "tags"),
    ({"tags": ["a", 5]}, "tags[1]"),
    ({"tags": ["a"] * 51}, "tags"),
    ({"tags": ["a", "x" * 257]}, "tags[1]"),
    ({"tags": ["a", ""]}, "tags[1]"),
    ({"headers": ["a"]}, "headers"),
    ({"headers": {"X-A": "a\r\nBcc: x@example.com"}}, "headers.X-A"),
    ({"headers": {"X-A": "a\nb"}}, "headers.X-A"),
    ({"headers": {"X A": "a"}}, "headers.X A"),
    ({"headers": {"X:A": "a"}}, "headers.X:A"),
    ({"headers": {"": "a"}}, "headers."),
    *(
        ({"headers": {name: "x"}}, f"headers.{name}")
        for name in (
            *("Date", "Message-ID", "From", "To", "Reply-To", "MIME-Version", "Auto-Submitted", "X-Morpheus-Ref"),
            *("Feedback-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "Return-Path", "Sender", "DKIM-Signature"),
            *("Bcc", "bCC", "Subject", "Content-Type"),
        )
    ),
    ({"priority": "urgent"}, "priority"),
    ({"priority": None}, "priority"),
    ({"send_at": NOW + timedelta(days=31, seconds=1)}, "send_at"),
    ({"send_at": "2026-06-01T00:00:00"}, "send_at"),
    ({"send_at": "tomorrow"}, "send_at"),
    ({"send_at": 1_780_000_000}, "send_at"),
    ({"send_at": NOW, "expires_at": NOW}, "expires_at"),
    ({"send_at": NOW, "expires_at": NOW - timedelta(hours=1)}, "expires_at"),
    ({"expires_at": 5}, "expires_at"),
    ({"missing_variables": "ignore"}, "missing_variables"),
    ({"on_uncertain": "maybe"}, "on_uncertain"),
    ({"cost_limit": 5}, "cost_limit"),
    ({"unsubscribe": "no"}, "unsubscribe"),
    ({"stream": ""}, "stream"),
    ({"stream": "x" * 33}, "stream"),
    ({"stream": "News"}, "stream"),
    ({"stream": "a_b"}, "stream"),
    ({"stream": "news\n"}, "stream"),
    ({"stream": None}, "stream"),
    ({"record": 5}, "record"),
    ({"recipients": ...}, "recipients"),
    ({"recipients": []}, "recipients"),
    ({"recipients": {}}, "recipients"),
    ({"recipients": ["a@example.com"]}, "recipients[0]"),
    ({"recipients": [{"address": "a@example.com"}, {}]}, "recipients[1].address"),
    ({"recipients": [{"address": "a@example.com"}, {"address": None}]}, "recipients[1].address"),
    ({"colour": "red"}, "colour"),
    ({"Group_id": "x"}, "Group_id"),
    ({5: "x"}, "body"),
    (one(adress="x"), "recipients[0].adress"),
    (one(first_name=5), "recipients[0].first_name"),
    ({"subaccount": "s1"}, "subaccount"),
    ({"method": "email", "subaccount": "s1"}, "subaccount"),
    ({"method": "mandrill", "subaccount": ""}, "subaccount"),
    (one(tags=["a"] * 51), "recipients[0].tags"),
    (one(tags=["x" * 257]), "recipients[0].tags[0]"),
    (one(context=[1]), "recipients[0].context"),
    (one(context={"a": float("nan")}), "recipients[0].context.a"),
    (one(pdf_attachments=[{"name": "a.pdf"}]), "recipients[0].pdf_attachments[0].html"),
    (one(pdf_attachments=[{"name": "", "html": ""}]), "recipients[0].pdf_attachments[0].name"),
    (one(pdf_attachments=[{"name": "../a.pdf", "html": ""}]), "recipients[0].pdf_attachments[0].name"),
    (one(pdf_attachments=[{"name": "a\r\n.pdf", "html": ""}]), "recipients[0].pdf_attachments[0].name"),
    (one(s3_attachments=[{"path": "../a"}]), "recipients[0].s3_attachments[0].path"),
    (one(s3_attachments=[{"path": "s3://unlisted/a.pdf"}]), "recipients[0].s3_attachments[0].path"),
    ({"outer_template": "s3://unlisted/a.html"}, "outer_template"),
    ({"inner_template": "s3://listed/../a.html"}, "inner_template"),
    ({"inner_template": "s3://listed"}, "inner_template"),
    ({"inner_template": "S3://listed/a.html"}, "inner_template"),
    ({"record": "none"}, "record"),
    ({"record": 1}, "record"),
    ({"redact": "password"}, "redact"),
    ({"redact": ["a", ""]}, "redact[1]"),
    ({"redact": ["x"] * 51}, "redact"),
    (one(s3_attachments=[{"name": "a"}]), "recipients[0].s3_attachments[0].path"),
    (one(s3_attachments=[{"path": "a", "name": ""}]), "recipients[0].s3_attachments[0].name"),
]

NOT_SUPPORTED: list[tuple[dict[str, Any], str]] = [
    ({"cost_limit": "5.00"}, "cost_limit"),
    ({"track_opens": True}, "track_opens"),
    ({"track_clicks": False}, "track_clicks"),
]


def names(cases: list[Any]) -> list[str]:
    """Names of tests: the number in the table and the keys that are changed."""
    changes = [case[0] if isinstance(case, tuple) else case for case in cases]
    return [f"{number}-{','.join(map(str, change))}" for number, change in enumerate(changes)]


@pytest.mark.parametrize("changes", ACCEPTED, ids=names(ACCEPTED))
async def test_accepted(stack: Stack, changes: dict[str, Any]) -> None:
    reply = await stack.post(**changes)
    assert reply.status_code == 202, reply.text
    assert len(await stack.queued()) > 0


@pytest.mark.parametrize(("changes", "path"), INVALID, ids=names(INVALID))
async def test_what_breaks_a_rule_is_422_and_named(stack: Stack, changes: dict[Any, Any], path: str) -> None:
    document = {name: value for name, value in _merged(changes).items() if value is not ...}
    reply = await stack.send(pack(document), key_id="admin")
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request"), reply.text
    assert reply.json()["errors"][0]["path"] == path
    assert reply.json()["errors"][0]["reason"]
    assert await stack.queued() == []


@pytest.mark.parametrize(("changes", "path"), NOT_SUPPORTED, ids=names(NOT_SUPPORTED))
async def test_what_is_not_built_is_422_and_named(stack: Stack, changes: dict[str, Any], path: str) -> None:
    reply = await stack.post(**changes)
    assert (reply.status_code, reply.json()["code"]) == (422, "not_supported"), reply.text
    assert [item["path"] for item in reply.json()["errors"]] == [path]
    assert await stack.queued() == []


@pytest.mark.parametrize(
    ("changes", "stream", "unsubscribe"),
    [
        ({}, "transactional", False),
        ({"unsubscribe": True}, "transactional", True),
        ({"stream": "newsletter"}, "newsletter", True),
        ({"stream": "newsletter", "unsubscribe": None}, "newsletter", True),
        ({"stream": "newsletter", "unsubscribe": False}, "newsletter", False),
    ],
)
async def test_stream_and_unsubscribe_reach_the_queue(
    stack: Stack, changes: dict[str, Any], stream: str, *, unsubscribe: bool
) -> None:
    assert (await stack.post(**changes)).status_code == 202
    redis: Any = stack.redis
    shared, in_gate = await redis.hmget("morpheus:{0}:group:acme/welcome-1", "shared", "stream")
    queued = unpack_shared(shared)
    assert (queued.stream, queued.unsubscribe, in_gate.decode()) == (stream, unsubscribe, stream)
    other = await stack.post(**(changes | {"part": 1, "unsubscribe": not unsubscribe}))
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    meant = await stack.post(**(changes | {"part": 2, "stream": stream, "unsubscribe": unsubscribe}))
    assert meant.status_code == 202


@pytest.mark.parametrize("company", ["", "Acme", "a/b", "x" * 65, "ä"])
async def test_company_codes(stack: Stack, company: str) -> None:
    reply = await stack.send(pack(_merged({"company_code": company})), key_id="admin")
    assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, "company_code")


async def test_all_breaks_of_meaning_are_named_up_to_a_hundred(stack: Stack) -> None:
    recipients = [{"address": "a@example.com", "tags": [""]} for _ in range(300)]
    reply = await stack.post(priority="x", on_uncertain="y", recipients=recipients)
    paths = [item["path"] for item in reply.json()["errors"]]
    assert len(paths) == 100
    assert paths[:3] == ["priority", "on_uncertain", "recipients[0].tags[0]"]
    assert paths[-1] == "recipients[97].tags[0]"


async def test_places_are_those_of_the_post_in_every_chunk(stack: Stack) -> None:
    recipients: list[dict[str, Any]] = [{"address": f"a{number}@example.com"} for number in range(1203)]
    recipients[1202]["tags"] = [""]
    assert (await stack.post(recipients=recipients)).json()["errors"][0]["path"] == "recipients[1202].tags[0]"
    recipients[1202]["tags"] = 5
    assert (await stack.post(recipients=recipients)).json()["errors"][0]["path"] == "recipients[1202].tags"
    assert await stack.queued() == []


async def test_a_recipient_above_eight_megabytes(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("morpheus_kit.wire.MAX_RECIPIENT_BYTES", 300_000)
    small, large = {"address": "a@example.com"}, {"address": "b@example.com", "context": {"a": "x" * 300_000}}
    reply = await stack.post(recipients=[small, large])
    assert reply.status_code == 202  # together they are one slice below its limit
    monkeypatch.setattr("morpheus_kit.wire.MAX_CHUNK_BYTES", 200_000)
    reply = await stack.post(group_id="second", recipients=[small, large])
    assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, "recipients[1]")


def _merged(changes: dict[Any, Any]) -> dict[Any, Any]:
    return {**group(), **changes}
