"""Texts that people send back: the words that stop what we send to their number, and those that lift it. As data."""

from __future__ import annotations

from typing import Literal

Word = Literal["stop", "start"]

STOP_WORDS = frozenset(["STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"])
START_WORDS = frozenset(["START", "YES", "UNSTOP"])
_EDGES = " \t\r\n.!?\"'“”‘’"


def word_of(text: str) -> Word | None:
    """What a whole text asks for; a sentence that only has such a word in it asks for nothing."""
    word = " ".join(text.strip(_EDGES).upper().split())
    if word in STOP_WORDS:
        return "stop"
    return "start" if word in START_WORDS else None
