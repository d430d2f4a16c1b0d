"""Everything that the composer writes is read back by the library's own parser."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morpheus_kit.queue.schema import SharedInfo
from services.dispatcher import headers
from services.dispatcher.mime import OWN_HEADERS, Attached, Composer, date_line

ID = "0b9f60f5-7d64-5c1e-a9a3-5a1f6f7c2d11"
DATE = date_line(datetime(2026, 11, 24, 7, 0, tzinfo=UTC))
# What no header may hold becomes one space; bodies may hold it.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=100)
evil = st.sampled_from(
    ["\r\nBcc: x@example.org", "\nX: y", "\r\n\r\nbody", "\x00", "\u2028Bcc: x", "\x85To: y", "=?utf-8?q?x?="]
)
hostile = st.builds(lambda a, b, c: a + b + c, anything, evil, anything)


def shared(**more: Any) -> SharedInfo:
    values: dict[str, Any] = {
        "from_address": "Acme Ltd <hello@acme.example>",
        "reference_prefix": "202611-000-aabbccdd",
    }
    return SharedInfo(1, "acme", "g1", "test", "test", "a.html", "o.html", "s", **(values | more))


def compose(
    *,
    info: SharedInfo | None = None,
    to: bytes = b"p@example.org",
    subject: str = "Hello",
    text: str = "Hello",
    html: str = "<p>Hello</p>",
    attachments: tuple[Attached, ...] = (),
) -> bytes:
    return Composer(info or shared()).compose(
        ID, to, DATE, subject=subject, text=text, html=html, attachments=attachments
    )


def parse(raw: bytes) -> EmailMessage:
    """Parses, and checks what holds of every mail."""
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    for part in mail.walk():
        assert part.defects == []
        for value in part.values():
            assert value.defects == ()
    names = [name.lower() for name in mail.keys()]  # noqa: SIM118  keys repeat
    assert len(names) == len(set(names))
    return mail


def lines(text: str) -> str:
    """A body as a mail holds it: line ends are CRLF."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return cast("bytes", part.get_payload(decode=True)).decode()


def test_every_header_of_a_plain_mail() -> None:
    mail = parse(compose(info=shared(reply_to="Desk <desk@acme.example>", headers={"X-Campaign": "spring"})))
    assert [(name, str(value)) for name, value in mail.items()] == [
        ("Date", "Tue, 24 Nov 2026 07:00:00 +0000"),
        ("Message-ID", f"<{ID}@acme.example>"),
        ("From", "Acme Ltd <hello@acme.example>"),
        ("Reply-To", "Desk <desk@acme.example>"),
        ("MIME-Version", "1.0"),
        ("Auto-Submitted", "auto-generated"),
        ("Feedback-ID", "acf8e89a:acme:transactional:morpheus"),
        ("X-Campaign", "spring"),
        ("To", "p@example.org"),
        ("Subject", "Hello"),
        ("X-Morpheus-Ref", f"202611-000-aabbccdd-{ID}"),
        ("Content-Type", f'multipart/alternative; boundary="=_alternative_{ID}"'),
    ]


def test_only_transactional_mail_says_that_it_is_automatic() -> None:
    assert "Auto-Submitted" not in parse(compose(info=shared(stream="newsletter")))


def test_a_mail_with_a_link_can_be_unsubscribed_from_with_one_click() -> None:
    url = f"https://mail.example.com/u/{'x' * 160}"
    raw = Composer(shared(stream="newsletter")).compose(
        ID, b"p@example.org", DATE, subject="s", text="t", html="h", unsubscribe_url=url
    )
    mail = parse(raw)
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in raw
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Feedback-ID"] == "acf8e89a:acme:newsletter:morpheus"


@pytest.mark.parametrize("name", sorted(OWN_HEADERS))
def test_a_group_sets_none_of_our_headers(name: str) -> None:
    mail = parse(compose(info=shared(headers={name.title(): "theirs"})))
    assert "theirs" not in str(mail)


@settings(deadline=None, max_examples=60)
@given(subject=words)
def test_subjects_come_back(subject: str) -> None:
    mail = parse(compose(subject=subject))
    assert str(mail["Subject"]) == subject


@settings(deadline=None, max_examples=60)
@given(subject=hostile, first=hostile, header=hostile, name=hostile)
def test_nothing_starts_a_header_or_a_body_of_its_own(subject: str, first: str, header: str, name: str) -> None:
    info = shared(headers={"X-Own": header}, from_address="Acme <hello@acme.example>")
    to = headers.mailbox(first, "p@example.org")
    mail = parse(compose(info=info, to=to, subject=subject, attachments=(Attached(name, "text/x\r\ny: z", b"1"),)))
    assert len(mail.items()) == 11
    assert str(mail["Subject"]) == CONTROLS.sub(" ", subject)
    assert [address.addr_spec for address in mail["To"].addresses] == ["p@example.org"]
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/octet-stream",
    ]


@settings(deadline=None, max_examples=60)
@given(name=words)
def test_names_come_back(name: str) -> None:
    mail = parse(compose(to=headers.mailbox(name, "p@example.org")))
    (address,) = mail["To"].addresses
    assert address.addr_spec == "p@example.org"
    wanted = " ".join(name.split())
    # Python before 3.13.2 leaves the blanks between encoded words of a name in.
    assert address.display_name.replace(" ", "") == wanted.replace(" ", "")
    phrase = headers.phrase(name).decode()
    if phrase.startswith("=?"):
        assert str(make_header(decode_header(phrase))) == wanted


@settings(deadline=None, max_examples=60)
@given(text=anything, html=anything)
def test_bodies_come_back(text: str, html: str) -> None:
    mail = parse(compose(text=f"{text}.", html=f"{html}."))
    assert body(mail, "plain") == lines(f"{text}.")
    assert body(mail, "html") == lines(f"{html}.")


@pytest.mark.parametrize(
    "text", ["x" * 5000, "é" * 5000, "日" * 2000, ".\n..\n.\n", "From me\n", "a \nb\t\n", "=\r\r\n"]
)
def test_awkward_bodies_come_back(text: str) -> None:
    mail = parse(compose(text=text, html=text))
    assert body(mail, "plain") == body(mail, "html") == lines(text)


def test_mostly_ascii_is_quoted_and_the_rest_is_base64() -> None:
    mail = parse(compose(text="Grüße aus Köln, und noch viel mehr Text", html="日本語"))
    encodings = [part["Content-Transfer-Encoding"] for part in mail.walk() if not part.is_multipart()]
    assert encodings == ["quoted-printable", "base64"]


@pytest.mark.parametrize(("text", "html", "kind"), [("a", "", "text/plain"), ("", "<p>", "text/html")])
def test_a_mail_with_one_body_has_one_part(text: str, html: str, kind: str) -> None:
    assert parse(compose(text=text, html=html)).get_content_type() == kind


@settings(deadline=None, max_examples=60)
@given(name=words.filter(lambda name: bool(name.strip())), content=st.binary(max_size=2000))
def test_attachments_come_back(name: str, content: bytes) -> None:
    mail = parse(
        compose(attachments=(Attached(name, "application/pdf", content), Attached("b.txt", "text/plain", b"b")))
    )
    first, second = mail.iter_attachments()
    assert first.get_filename() == name.strip()
    assert first.get_content_type() == "application/pdf"
    assert first.get_payload(decode=True) == content
    assert (second.get_filename(), second.get_content_disposition()) == ("b.txt", "attachment")


def test_boundaries_cannot_occur_in_parts() -> None:
    text = f"--=_alternative_{ID}--\r\n--=_mixed_{ID}\r\n"
    mail = parse(compose(text=text, html=text, attachments=(Attached("a", "text/plain", text.encode()),)))
    assert body(mail, "plain") == text
    assert len(list(mail.walk())) == 5


@pytest.mark.parametrize("address", ["nobody", "", "Name <>", "ünï@example.org"])
def test_a_sender_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(headers.AddressError):
        Composer(shared(from_address=address))
