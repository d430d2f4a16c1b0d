"""Contracts §4: `/u/{token}`. To look changes nothing, to post unsubscribes; what a link means is the tracker's."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from morpheus.tracker.v1 import tracker_pb2
from structlog.testing import capture_logs

from morpheus_kit.errors import UnavailableError
from tests.contract.stack import Stack

LINK = "/u/good-token_1"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Elements(HTMLParser):
    """The elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in tags]


def kinds(stack: Stack) -> list[str]:
    """What the tracker was asked."""
    return [type(request).__name__ for request in stack.tracker.asked]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_to_look_changes_nothing(stack: Stack, method: str) -> None:
    reply = await stack.http.request(method, LINK, params={"x": "1"})
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert kinds(stack) == ["GetUnsubscribeLinkRequest"]


async def test_the_page_has_one_button_and_nothing_else_to_press_load_or_run(stack: Stack) -> None:
    reply = await stack.http.get(LINK)
    elements = Elements(reply.text)
    assert "<strong>newsletter</strong>" in reply.text
    assert elements.named("form") == [{"method": "post"}]  # to where it came from
    assert len(elements.named("button")) == 1
    assert elements.named("input") == [{"type": "hidden", "name": "List-Unsubscribe", "value": "One-Click"}]
    assert elements.named("a", "script", "img", "iframe") == []
    assert elements.named("html") == [{"lang": "en"}]
    assert len(elements.named("title")) == len(elements.named("h1")) == len(elements.named("main")) == 1
    assert {each["href"] for each in elements.named("link")} == {"data:,", "/pages/style.css"}


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b"", "headers": {}},
        {"content": b"\xff" * 2_000_000, "headers": {"content-type": "application/octet-stream"}},
    ],
    ids=["form", "multipart", "nothing", "anything"],
)
async def test_a_post_unsubscribes_at_once_without_cookie_or_redirect_and_again(
    stack: Stack, body: dict[str, Any]
) -> None:
    for _ in range(2):
        reply = await stack.http.post(LINK, **body)
        assert (reply.status_code, "You are unsubscribed" in reply.text) == (200, True)
        assert not reply.headers.keys() & {"set-cookie", "location"}
        assert Elements(reply.text).named("form", "button") == []
    assert stack.tracker.asked == [tracker_pb2.UnsubscribeRecipientRequest(token="good-token_1")] * 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("failure", [None, UnavailableError("no", retry_after=5)], ids=["forged", "away"])
async def test_a_link_that_does_not_work_says_so(stack: Stack, method: str, failure: UnavailableError | None) -> None:
    stack.tracker.failure = failure
    reply = await stack.http.request(method, LINK if failure else "/u/forged")
    assert reply.status_code == (503 if failure else 404)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers.get("retry-after") == ("5" if failure else None)
    if method != "HEAD":
        assert ("Nothing has changed" if failure else "This link is not valid") in reply.text
        assert len(Elements(reply.text).named("button")) == (1 if failure else 0)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_pages_are_served_under_the_policy_of_all_pages(stack: Stack, method: str) -> None:
    for link in (LINK, "/u/forged"):
        headers = (await stack.http.request(method, link)).headers
        docs = (await stack.http.get("/docs")).headers
        for name in ("content-security-policy", "referrer-policy", "x-content-type-options", "cache-control"):
            assert headers[name] == docs[name]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


async def test_other_methods_and_other_paths_do_nothing(stack: Stack) -> None:
    assert (await stack.http.put(LINK)).status_code == 405
    assert (await stack.http.delete(LINK)).status_code == 405
    assert (await stack.http.post(f"{LINK}/x")).status_code == 404
    assert (await stack.http.post("/u/")).status_code == 404
    assert stack.tracker.asked == []


async def test_logs_hold_no_link(stack: Stack) -> None:
    with capture_logs() as lines:
        await stack.http.get(LINK)
        await stack.http.post(LINK, data=ONE_CLICK)
    assert [line["route"] for line in lines if line["event"] == "http_request"] == ["/u/{token}"] * 2
    assert "good-token" not in str(lines)
