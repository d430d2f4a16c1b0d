"""Health, documentation and the outbox."""

from __future__ import annotations

import os
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.contract.stack import Stack

MAIL_ID = str(UUID(int=1))


def write_mail(folder: Path, number: int = 1, *, html: str = "<p>Hello</p>", subject: str = "Hello") -> str:
    message = EmailMessage()
    message["From"] = "Books <orders@books.example.com>"
    message["To"] = f"Zoë <customer{number}@example.com>"
    message["Subject"] = subject
    message.set_content("Hello as text")
    message.add_alternative(html, subtype="html")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="Rechnung ü.pdf")
    message.add_attachment(b"<script>1</script>", maintype="text", subtype="html", filename="x.html")
    mail_id = str(UUID(int=number))
    path = folder / f"{mail_id}.eml"
    path.write_bytes(message.as_bytes())
    os.utime(path, (1_780_000_000 + number, 1_780_000_000 + number))
    return mail_id


@pytest.fixture
def outbox(stack: Stack) -> Path:
    return stack.home / "outbox"


async def test_health(stack: Stack) -> None:
    assert (await stack.http.get("/healthz")).json() == {"status": "ok"}
    reply = await stack.http.get("/readyz")
    assert reply.status_code == 200
    assert reply.json() == {
        "status": "ready",
        "services": dict.fromkeys(("intake", "renderer", "dispatcher", "tracker"), "serving"),
    }


async def test_openapi_names_every_path(stack: Stack) -> None:
    paths = (await stack.http.get("/openapi.json")).json()["paths"]
    assert {
        "/v1/groups",
        "/v1/preview",
        "/v1/groups/{group_id}",
        "/v1/groups/{group_id}/events",
        "/v1/groups/{group_id}/pause",
        "/v1/groups/{group_id}/resume",
        "/v1/groups/{group_id}/cancel",
        "/v1/messages",
        "/v1/messages/{message_id}",
        "/v1/messages/{message_id}/html",
        "/v1/messages.csv",
        "/v1/messages.ndjson",
        "/v1/groups/{group_id}/retry",
        "/v1/messages/{message_id}/resend",
        "/v1/stats",
        "/v1/costs",
        "/v1/events",
        "/v1/providers",
        "/v1/providers/{name}/pause",
        "/v1/providers/{name}/resume",
        "/v1/suppressions",
        "/v1/erasures",
        "/healthz",
        "/readyz",
    } == set(paths)


async def test_docs_need_nothing_from_elsewhere(stack: Stack) -> None:
    reply = await stack.http.get("/docs")
    assert reply.status_code == 200
    assert "/v1/groups/{group_id}/pause" in reply.text
    assert "https://" not in reply.text
    assert "<script" not in reply.text


async def test_the_root_leads_to_the_outbox(stack: Stack) -> None:
    reply = await stack.http.get("/")
    assert (reply.status_code, reply.headers["location"]) == (307, "/outbox")


async def test_an_empty_outbox_says_so(stack: Stack) -> None:
    assert "Nothing yet" in (await stack.http.get("/outbox")).text


async def test_the_outbox_lists_mails_newest_first_and_in_pages(stack: Stack, outbox: Path) -> None:
    for number in range(1, 121):
        write_mail(outbox, number)
    (outbox / "calls.jsonl").write_text("{}\n")
    (outbox / f"{UUID(int=999)}.part").write_text("being written")
    first, last = (await stack.http.get("/outbox")).text, (await stack.http.get("/outbox?page=3")).text
    assert "120 messages" in first
    assert "Page 1 of 3" in first
    assert first.index("customer120@") < first.index("customer119@")
    assert "customer70@" not in first
    assert "customer1@" in last
    assert (await stack.http.get("/outbox?page=99")).text.count("Page 3 of 3") == 1


async def test_texts_stand_beside_the_mails(stack: Stack, outbox: Path) -> None:
    write_mail(outbox, 1)
    write_mail(outbox, 3)
    text_id, text = str(UUID(int=2)), "Your code is <b>123</b>,\nZoë"
    (outbox / f"{text_id}.txt").write_text(text)
    os.utime(outbox / f"{text_id}.txt", (1_780_000_002, 1_780_000_002))
    listed = (await stack.http.get("/outbox")).text
    assert "3 messages" in listed
    places = [listed.index(f"/outbox/{UUID(int=number)}") for number in (3, 2, 1)]
    assert places == sorted(places)
    assert "Your code is &lt;b&gt;123&lt;/b&gt;, Zoë" in listed
    found = (await stack.http.get("/outbox", params={"q": "zoë CODE"})).text
    assert f"/outbox/{text_id}" in found
    assert "1 message " in found
    shown = (await stack.http.get(f"/outbox/{text_id}")).text
    assert "Your code is &lt;b&gt;123&lt;/b&gt;,\nZoë" in shown
    source = await stack.http.get(f"/outbox/{text_id}/source")
    assert (source.text, source.headers["content-type"]) == (text, "text/plain; charset=utf-8")
    assert f"{text_id}.txt" in source.headers["content-disposition"]
    for rest in ("html", "attachments/0"):
        assert (await stack.http.get(f"/outbox/{text_id}/{rest}")).status_code == 404


async def test_the_outbox_can_be_searched(stack: Stack, outbox: Path) -> None:
    write_mail(outbox, 1, subject="Grüße an Ada")
    write_mail(outbox, 2, subject="Other")
    found = (await stack.http.get("/outbox", params={"q": "grüße ADA"})).text
    assert "customer1@" in found
    assert "customer2@" not in found
    assert "No message matches" in (await stack.http.get("/outbox", params={"q": "<nothing>"})).text


async def test_a_mail_is_shown_at_both_widths_with_text_headers_and_files(stack: Stack, outbox: Path) -> None:
    mail_id = write_mail(outbox, subject="<b>Hello</b>")
    reply = await stack.http.get(f"/outbox/{mail_id}")
    assert reply.text.count(f'src="/outbox/{mail_id}/html"') == 2
    assert reply.text.count("sandbox=") == 2
    assert "allow-scripts" not in reply.text
    assert "Hello as text" in reply.text
    assert "Rechnung ü.pdf" in reply.text
    assert "&lt;b&gt;Hello&lt;/b&gt;" in reply.text
    assert "<b>Hello</b>" not in reply.text
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]


async def test_a_mails_html_runs_nothing(stack: Stack, outbox: Path) -> None:
    mail_id = write_mail(outbox, html="<p>Hi</p><script>alert(1)</script>")
    reply = await stack.http.get(f"/outbox/{mail_id}/html")
    assert "<p>Hi</p>" in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "sandbox" in reply.headers["content-security-policy"]


async def test_only_pdfs_are_shown_in_the_browser(stack: Stack, outbox: Path) -> None:
    mail_id = write_mail(outbox)
    pdf = await stack.http.get(f"/outbox/{mail_id}/attachments/0")
    assert (pdf.content, pdf.headers["content-type"]) == (b"%PDF-1.7", "application/pdf")
    assert pdf.headers["content-disposition"] == "inline; filename*=UTF-8''Rechnung%20%C3%BC.pdf"
    other = await stack.http.get(f"/outbox/{mail_id}/attachments/1")
    assert other.headers["content-type"] == "application/octet-stream"
    assert other.headers["content-disposition"].startswith("attachment;")
    assert (await stack.http.get(f"/outbox/{mail_id}/attachments/9")).status_code == 404


async def test_the_source_is_the_bytes_as_sent(stack: Stack, outbox: Path) -> None:
    mail_id = write_mail(outbox)
    reply = await stack.http.get(f"/outbox/{mail_id}/source")
    assert reply.content == (outbox / f"{mail_id}.eml").read_bytes()
    assert reply.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("mail_id", [MAIL_ID, "..%2Fkeys", "calls", "x" * 300])
async def test_other_names_are_not_found(stack: Stack, mail_id: str) -> None:
    assert (await stack.http.get(f"/outbox/{mail_id}")).status_code == 404


@pytest.mark.parametrize("path", ["/outbox", f"/outbox/{MAIL_ID}", f"/outbox/{MAIL_ID}/source"])
async def test_the_outbox_is_for_this_machine_only(stack: Stack, outbox: Path, path: str) -> None:
    write_mail(outbox)
    assert (await stack.http.get(path)).status_code == 200
    assert (await stack.http.get(path, headers={"host": "localhost:8000"})).status_code == 200
    assert (await stack.http.get(path, headers={"host": "[::1]:8000"})).status_code == 200
    assert (await stack.http.get(path, headers={"host": "evil.example.com:8000"})).status_code == 403
    application = stack.http._transport.app  # type: ignore[attr-defined]
    elsewhere = httpx.ASGITransport(application, client=("192.0.2.7", 4000))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1") as http:
        forwarded = {"x-forwarded-for": "127.0.0.1"}
        assert (await http.get(path, headers=forwarded)).status_code == 403
