"""Unsubscribe links: what is put in comes out, and nobody else can make one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morpheus_kit import ids
from morpheus_kit.addresses import AddressHasher
from morpheus_kit.unsubscribe import NOBODY, UnsubscribeLink, UnsubscribeLinks, sample_url

SECRET = "a secret of some length"
LINKS = UnsubscribeLinks(SECRET, "https://mail.example.com/")
REFERENCE = f"{ids.reference_prefix('202611', 7, 'acme', 'june')}-{ids.message_id('acme', 'june', 0, 3)}"

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32)


def token(company: str = "acme", stream: str = "newsletter", address: str = "ada@example.com") -> str:
    return LINKS.url(company, stream, REFERENCE, address).rpartition("/")[2]


@given(names, names, st.integers(0, 999), st.sampled_from(["199001", "202611", "999912"]))
def test_what_is_put_in_comes_out(company: str, stream: str, partition: int, month: str) -> None:
    prefix = ids.reference_prefix(month, partition, company, "june")
    reference = f"{prefix}-{ids.message_id(company, 'june', 0, 1)}"
    url = LINKS.url(company, stream, reference, "ada@example.com")
    recipient = AddressHasher(SECRET).hash(company, "ada@example.com")
    assert url.startswith("https://mail.example.com/u/")
    assert LINKS.read(url.rpartition("/")[2]) == UnsubscribeLink(company, stream, reference, recipient)


def test_a_link_is_the_same_each_time_and_short_and_holds_no_address() -> None:
    made = token()
    assert made == token() == token(address="Ada@Example.com")
    assert len(made) <= 110
    raw = base64.urlsafe_b64decode(made + "==")
    assert not any(part in raw.lower() for part in (b"ada", b"example"))


def test_the_widest_names_still_fit_and_can_be_read() -> None:
    company, stream = "c" * 64, "s" * 32
    assert LINKS.read(token(company, stream))[:2] == (company, stream)


@given(names, names)
def test_a_sample_is_as_long_as_a_link_and_is_none(company: str, stream: str) -> None:
    sample = sample_url("https://mail.example.com/", company, stream)
    assert len(sample) == len(LINKS.url(company, stream, REFERENCE, "ada@example.com"))
    with pytest.raises(ValueError, match="signed"):
        LINKS.read(sample.rpartition("/")[2])


def test_an_address_that_is_never_suppressed_has_no_hash() -> None:
    assert LINKS.read(token(address="opened@simulator.example.com")).recipient == NOBODY


@pytest.mark.parametrize("place", range(len(token())))
def test_a_changed_character_is_noticed(place: int) -> None:
    made = token()
    for other in "A_9":
        if made[place] != other:
            with pytest.raises(ValueError, match="signed"):
                LINKS.read(made[:place] + other + made[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        *("", "A", "AAAA", "u", "ü" * 20, "%20", "=" * 8, "A" * 100, "A" * 513),
        *(token()[:-1], token()[4:], token() + "A", token() + "=", f" {token()}", f"{token()[:8]}!{token()[8:]}"),
        UnsubscribeLinks("another secret of length").url("acme", "newsletter", REFERENCE, "a@b.example")[3:],
    ],
)
def test_what_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        LINKS.read(text)
