"""Tokens are opaque, signed, and bound to their question."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morpheus_kit.errors import InvalidInputError
from services.tracker.paging import PageTokens
from services.tracker.store.base import Position

TOKENS = PageTokens("a secret of a test")
QUESTION = ("messages", "acme", ["", 1, None])
POSITION = Position(1_780_000_000_000, "d9dc1902-922c-5f6f-9e95-4746ad0b9453")


@given(st.integers(0, 2**53), st.uuids())
def test_token_gives_its_position_back(time_ms: int, id_: object) -> None:
    position = Position(time_ms, str(id_))
    assert TOKENS.read(QUESTION, TOKENS.make(QUESTION, position)) == position


def test_no_token_is_the_beginning() -> None:
    assert TOKENS.read(QUESTION, "") is None


@pytest.mark.parametrize("token", ["x", "AAAA", "ä", "====", "A" * 1000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        TOKENS.read(QUESTION, token)
    assert caught.value.violations[0].path == "page_token"


def test_token_of_another_question_or_secret_is_refused() -> None:
    token = TOKENS.make(QUESTION, POSITION)
    for tokens, question in [
        (TOKENS, ("messages", "other", ["", 1, None])),
        (TOKENS, ("groups", "acme", ["", 1, None])),
        (PageTokens("another secret"), QUESTION),
    ]:
        with pytest.raises(InvalidInputError):
            tokens.read(question, token)


def test_token_cannot_be_changed() -> None:
    raw = bytearray(base64.urlsafe_b64decode(TOKENS.make(QUESTION, POSITION) + "=="))
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1
        with pytest.raises(InvalidInputError):
            TOKENS.read(QUESTION, base64.urlsafe_b64encode(changed).decode().rstrip("="))
