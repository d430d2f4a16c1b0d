from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake import addresses
from services.intake.addresses import Mailbox, is_possible, parse_mailbox, why_impossible

POSSIBLE = [
    "ada@example.com",
    "a.b+c_d-e@mail.example.co.uk",
    "o'brien@example.com",
    "x@e.co",
    "delivered@simulator.example.com",
    "timeout-sent+1@simulator.example.com",
    "ada@bücher.example",
    "ada@xn--bcher-kva.example",
    "ada@intern.local",
    "ada@host.test",
    "x" * 64 + "@example.com",
    "ada@EXAMPLE.COM",
]
IMPOSSIBLE = [
    "",
    "nonsense",
    "@example.com",
    "ada@",
    "ada@@example.com",
    "ada@b@example.com",
    "ada@example",
    "ada@localhost",
    "ada lovelace@example.com",
    "ada@exa mple.com",
    "ada..l@example.com",
    ".ada@example.com",
    "ada.@example.com",
    "ada@example..com",
    "ada@.example.com",
    "ada@example.com.",
    "ada@-example.com",
    "ada@example-.com",
    "ada@exa_mple.com",
    "ada@1.2.3.4",
    "ada@[1.2.3.4]",
    "zoë@example.com",
    '"ada l"@example.com',
    "Ada <ada@example.com>",
    " ada@example.com",
    "ada@example.com ",
    "ada@example.com\n",
    "ada\r\nBcc: x@example.com",
    "ada@exam\0ple.com",
    "x" * 65 + "@example.com",
    "ada@" + "x" * 64 + ".com",
    "ada@" + "x." * 130 + "com",
    "ada@xn--zz.example",
]


@pytest.mark.parametrize("address", POSSIBLE)
def test_possible(address: str) -> None:
    assert is_possible(address)


@pytest.mark.parametrize("address", IMPOSSIBLE)
def test_impossible_and_why(address: str) -> None:
    assert not is_possible(address)
    text = why_impossible(address)
    assert text.startswith("The address is not a valid one: ")


@settings(deadline=None)
@given(st.text("abZ09.+-_'!", min_size=1, max_size=66), st.text("abZ09.-", min_size=1, max_size=70), st.text("aZ9-"))
def test_the_fast_path_never_accepts_what_the_library_refuses(local: str, domain: str, top: str) -> None:
    address = f"{local}@{domain}.{top}"
    assert is_possible(address) == addresses._by_library(address)


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_judged(address: str) -> None:
    if not is_possible(address):
        assert why_impossible(address)


def test_long_texts_are_judged_at_once() -> None:
    for text in ("a" * 5_000_000, "a@" * 2_000_000, "a." * 2_000_000 + "@x.de", "ä@" + "x" * 5_000_000):
        assert not is_possible(text)


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("a@b.de", Mailbox("", "a@b.de")),
        ("<a@b.de>", Mailbox("", "a@b.de")),
        ("Ada <a@b.de>", Mailbox("Ada", "a@b.de")),
        ('"Books, \\"Ltd\\"" <a@b.de>', Mailbox('Books, "Ltd"', "a@b.de")),
        ("Bücher <a@B.de>", Mailbox("Bücher", "a@B.de")),
        ("Books, Ltd <a@b.de>", Mailbox("Books, Ltd", "a@b.de")),
        ("a@other.de <a@b.de>", Mailbox("a@other.de", "a@b.de")),
        ("Ada a@b.de", None),
        ("Ada <nonsense>", None),
        ("Ada <a@b.de> x", None),
        ("Ada <a@b.de", None),
        ("A\n <a@b.de>", None),
        ("", None),
    ],
)
def test_mailboxes(text: str, mailbox: Mailbox | None) -> None:
    assert parse_mailbox(text) == mailbox
    if mailbox is not None:
        assert mailbox.domain == "b.de"


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30))
def test_no_reader_takes_another_address_from_what_is_queued(name: str) -> None:
    mailbox = parse_mailbox(f"{name} <a@b.de>")
    if mailbox is not None:
        assert mailbox.address == "a@b.de"
        assert parseaddr(mailbox.unmistakable())[1] == "a@b.de"
        assert parse_mailbox(mailbox.unmistakable()) == mailbox


@pytest.mark.parametrize(
    "text", ["evil@evil.de <a@b.de>", "X, Y <a@b.de>", "G: x; <a@b.de>", "[x] <a@b.de>", '"x <a@b.de>']
)
def test_names_that_look_like_addresses_are_quoted(text: str) -> None:
    mailbox = parse_mailbox(text)
    assert mailbox is not None
    assert parseaddr(mailbox.unmistakable()) == mailbox
