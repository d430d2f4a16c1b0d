"""How much the front holds for its callers."""

from __future__ import annotations

from contextlib import suppress

import pytest

from morpheus_kit.errors import ThrottledError
from services.renderer.backlog import Backlog


def test_an_owner_may_hold_a_quarter() -> None:
    backlog = Backlog(400)
    with backlog.hold("a", 60):
        with pytest.raises(ThrottledError) as caught, backlog.hold("a", 41):
            pass
        assert caught.value.retry_after == 1
        with backlog.hold("a", 40), backlog.hold("b", 100):
            assert backlog.bytes == 200
    assert backlog.bytes == 0
    with backlog.hold("a", 100):
        pass


def test_all_together_may_hold_the_whole() -> None:
    backlog = Backlog(400)
    with backlog.hold("a", 100), backlog.hold("b", 100), backlog.hold("c", 100), backlog.hold("d", 90):
        with backlog.hold("e", 10):
            pass
        with pytest.raises(ThrottledError), backlog.hold("e", 11):
            pass


def test_answers_that_nobody_has_read_weigh_for_the_next_call_and_refuse_none() -> None:
    backlog = Backlog(400)
    with backlog.hold("a", 10) as holding:
        holding.add(300)
        with pytest.raises(ThrottledError), backlog.hold("a", 1):
            pass
        with backlog.hold("b", 90):
            pass
        holding.add(-300)
        with backlog.hold("a", 1):
            pass


def test_a_call_that_breaks_off_holds_nothing() -> None:
    backlog = Backlog(400)
    with suppress(RuntimeError), backlog.hold("a", 10) as holding:
        holding.add(50)
        raise RuntimeError
    assert backlog.bytes == 0
