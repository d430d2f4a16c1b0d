"""Streams and unsubscribe links, from the post to the gate, with every service real."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from http.client import HTTPConnection
from urllib.parse import urlsplit

import msgpack
import pytest

from benchmarks import sample
from benchmarks.stack import Stack

FOOTER = "<p>{{ first_name }}</p>{% if unsubscribe_url %}<a href='{{ unsubscribe_url }}'>Unsubscribe</a>{% endif %}"


@pytest.mark.timeout(180)
def test_who_posts_to_the_link_of_a_mail_gets_no_more_of_its_stream_and_all_of_others(stack: Stack) -> None:
    (stack.home / "templates" / "news.html").write_text(FOOTER)
    mail = _sent(stack, "june", stream="newsletter")
    link = str(mail["List-Unsubscribe"]).strip("<>")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Feedback-ID"].endswith(f":{sample.COMPANY}:newsletter:morpheus")
    assert mail["Auto-Submitted"] is None
    for kind in ("html", "plain"):
        body = mail.get_body((kind,))
        assert body is not None
        assert link in body.get_content()

    assert _request("HEAD", link)[0] == 200
    status, page = _request("GET", link)
    assert (status, page.count("<button")) == (200, 1)
    assert stack.get("/v1/suppressions")["items"] == []
    assert _request("POST", f"{link[:-1]}{'A' if link[-1] != 'A' else 'B'}")[0] == 404

    for _ in range(2):
        status, page = _request("POST", link, b"List-Unsubscribe=One-Click")
        assert (status, "You are unsubscribed" in page) == (200, True)

    (item,) = stack.get("/v1/suppressions")["items"]
    assert (item["address"], item["stream"], item["reason"]) == ("person0@example.org", "newsletter", "unsubscribe")
    _post(stack, "july", stream="newsletter")
    assert stack.wait_finished("july", 30)["counts"]["rejected"] == 1
    (refused,) = stack.get("/v1/messages", group_id="july", stream="newsletter")["items"]
    assert (refused["state"], refused["reason"]["code"]) == ("rejected", "suppressed_unsubscribe")
    assert _sent(stack, "receipt")["List-Unsubscribe"] is None
    assert _sent(stack, "offers", stream="offers")["List-Unsubscribe"] is not None
    (first,) = stack.get("/v1/messages", group_id="june")["items"]
    assert (first["state"], first["unsubscribed_at"] is not None) == ("unsubscribed", True)


def _post(stack: Stack, group_id: str, **more: object) -> None:
    post = {**sample.group(group_id, 1), "inner_template": "news.html", "subject_template": "News", **more}
    assert stack.post(msgpack.packb(post))[0] == 202


def _sent(stack: Stack, group_id: str, **more: object) -> EmailMessage:
    """The one mail of a new group."""
    _post(stack, group_id, **more)
    group = stack.wait_finished(group_id, 30)
    assert group["unsubscribe"] is ("stream" in more)
    (item,) = stack.get("/v1/messages", group_id=group_id)["items"]
    raw = (stack.home / "outbox" / f"{item['id']}.eml").read_bytes()
    assert len(re.findall(rb"(?im)^list-unsubscribe", raw)) in {0, 2}
    return email.message_from_bytes(raw, policy=email.policy.default)


def _request(method: str, url: str, body: bytes | None = None) -> tuple[int, str]:
    """As a mail program asks: no cookies, no redirect followed."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=10)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    connection.request(method, parts.path, body, headers)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text
