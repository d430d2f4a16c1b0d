"""The gateway gives webhooks on as they came, and its answer is the tracker's."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.routes.webhooks import MAX_BODY
from morpheus_kit.errors import MalformedError, MorpheusError, NotFoundError, UnauthenticatedError, UnavailableError
from tests.contract.stack import Stack

BODY = bytes(range(256))
TARGET = "/webhooks/twilio?ref=ada%40example.com&x=%7e+%20"


async def test_path_query_headers_and_body_arrive_as_they_were(stack: Stack) -> None:
    headers = [("X-Twilio-Signature", "one"), ("X-Twilio-Signature", "two"), ("Content-Type", "text/plain")]
    with capture_logs() as lines:
        reply = await stack.http.post(TARGET, content=BODY, headers=headers)
    (asked,) = stack.tracker.asked
    assert (reply.status_code, reply.text, reply.headers["content-type"]) == (
        200,
        "<Response/>",
        "text/xml; charset=utf-8",
    )
    assert (asked.provider, asked.target, asked.body) == ("twilio", TARGET, BODY)
    assert asked.headers["x-twilio-signature"] == "one"
    assert asked.headers["content-type"] == "text/plain"
    (line,) = [line for line in lines if line["event"] == "http_request"]
    assert line["route"] == "/webhooks/{provider}"
    assert "ada" not in str(lines)


@pytest.mark.parametrize("provider", ["mandrill", "ses", "bird"])
async def test_others_get_an_empty_answer(stack: Stack, provider: str) -> None:
    reply = await stack.http.post(f"/webhooks/{provider}", content=b"{}")
    assert (reply.status_code, reply.content, stack.tracker.asked[0].target) == (200, b"", f"/webhooks/{provider}")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnauthenticatedError, 401, "unauthenticated"),
        (MalformedError, 400, "malformed_body"),
        (NotFoundError, 404, "not_found"),
        (UnavailableError, 503, "unavailable"),
    ],
)
async def test_a_refusal_is_the_trackers(stack: Stack, error: type[MorpheusError], status: int, code: str) -> None:
    stack.tracker.failure = error()
    reply = await stack.http.post("/webhooks/mandrill", content=b"")
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_what_is_too_large_or_of_nobody_does_not_reach_the_tracker(stack: Stack) -> None:
    assert (await stack.http.post("/webhooks/ses", content=b"x" * (MAX_BODY + 1))).status_code == 413
    assert (await stack.http.post("/webhooks/sendgrid", content=b"{}")).status_code == 422
    assert (await stack.http.head("/webhooks/mandrill")).status_code == 200
    assert (await stack.http.get("/webhooks/mandrill")).status_code == 405
    assert stack.tracker.asked == []
