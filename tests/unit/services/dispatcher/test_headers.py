"""Header values: what stays as it is, what is folded, what is encoded, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher import headers


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("Hello", b"Hello"),
        ("", b""),
        ("a\r\nb", b"a b"),
        ("Grüße", b"=?utf-8?b?R3LDvMOfZQ==?="),
        (" lead", b"=?utf-8?b?IGxlYWQ=?="),
        ("=?utf-8?q?x?=", b"=?utf-8?b?PT91dGYtOD9xP3g/PQ==?="),
    ],
)
def test_unstructured(text: str, wire: bytes) -> None:
    assert headers.unstructured(text, 9) == wire


def test_long_text_is_folded_at_spaces() -> None:
    folded = headers.unstructured(" ".join(["word"] * 50), 9)
    assert max(map(len, folded.split(b"\r\n"))) <= 76
    assert folded.replace(b"\r\n", b"") == b" ".join([b"word"] * 50)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("Ada Lovelace", b"Ada Lovelace"),
        ("Lovelace, Ada", b'"Lovelace, Ada"'),
        ('A "B" \\', b'"A \\"B\\" \\\\"'),
        ("Ada\r\nBcc: x", b'"Ada Bcc: x"'),
        ("Ádá", b"=?utf-8?b?w4Fkw6E=?="),
    ],
)
def test_phrase(name: str, wire: bytes) -> None:
    assert headers.phrase(name) == wire


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("a@example.org", "a@example.org"),
        ("a.b+c@bücher.example", "a.b+c@xn--bcher-kva.example"),
        ("a@straße.example", "a@xn--strae-oqa.example"),
        ("a@日本.example", "a@xn--wgv71a.example"),
    ],
)
def test_domains_go_out_as_a_labels(address: str, wire: str) -> None:
    assert headers.address_on_the_wire(address) == wire


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@b",
        "a@",
        "ü@example.org",
        "a b@example.org",
        "a@b>c",
        "a\r\n@b",
        "a@b\r\nc",
        "a@b,c@d",
        "a@-ü-.example",
    ],
)
def test_addresses_that_cannot_be_written(address: str) -> None:
    with pytest.raises(headers.AddressError):
        headers.address_on_the_wire(address)


@given(st.text(max_size=50))
def test_whatever_is_accepted_stays_on_one_line(address: str) -> None:
    try:
        wire = headers.address_on_the_wire(address)
    except headers.AddressError:
        return
    assert wire.isascii()
    assert wire.isprintable()
    assert not set(wire) & set(' <>,;"')


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\r\nY", "Ü"])
def test_header_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        headers.custom(name, "x")


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("invoice.pdf", b'filename="invoice.pdf"'),
        ('a"b.pdf', b"filename*=utf-8''a%22b.pdf"),
        ("Rechnung für.pdf", b"filename*=utf-8''Rechnung%20f%C3%BCr.pdf"),
        ("", b'filename="attachment"'),
    ],
)
def test_filename(name: str, wire: bytes) -> None:
    assert headers.filename(name) == wire


def test_long_filenames_are_cut_between_characters() -> None:
    pieces = headers.filename("ü" * 60 + ".pdf").split(b";\r\n ")
    assert pieces[0].startswith(b"filename*0*=utf-8''%C3%BC")
    assert all(not piece.rstrip(b"0123456789ABCDEF").endswith(b"%%") for piece in pieces)
    assert len(pieces) > 3


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a@b.example", ("", "a@b.example")), ("Ä B <a@b.example>", ("Ä B", "a@b.example"))],
)
def test_split_mailbox(text: str, parts: tuple[str, str]) -> None:
    assert headers.split_mailbox(text) == parts
