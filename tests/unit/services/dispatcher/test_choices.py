"""A method with several providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from morpheus_kit.clock import SystemClock
from services.dispatcher.routes import Outlet, Route, choices
from services.dispatcher.verdicts import Waits


@dataclass
class Named:
    name: str
    concurrency: int = 1


def routes(*names: str) -> list[Route]:
    clock = SystemClock()
    return choices("email", [Outlet(cast("Any", Named(name)), clock) for name in names], Waits((), 1.0), clock)


def test_the_first_that_does_not_rest_is_chosen() -> None:
    first, second = routes("ses", "smtp")
    assert (first.rests, second.rests) == (False, True)
    first.rest(60)
    assert (first.rests, second.rests) == (True, False)
    second.rest(60)
    assert (first.rests, second.rests) == (True, True)
    assert (first.chosen, second.chosen) == (True, False)


def test_a_mark_tells_the_provider() -> None:
    first, second = routes("ses", "smtp")
    assert first.provider_of(f"{second.consumer('host-1-ab')} 3 acme/g/0") == "smtp"
    assert second.to("ses") is first
    assert first.to("fax") is None


def test_a_single_choice_changes_no_names() -> None:
    (only,) = routes("smtp")
    assert only.consumer("host-1-ab") == "host-1-ab"
    assert only.provider_of("host-1-ab 3 acme/g/0") == "smtp"
