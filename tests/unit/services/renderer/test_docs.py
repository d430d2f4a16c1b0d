"""The examples of docs/templates.md are what templates make."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgpack

PAGE = Path(__file__).parents[4] / "docs" / "templates.md"
_EXAMPLE = re.compile(r"^\| `(\{\{ .+ \}\})` \| (.+) \|$", re.MULTILINE)
CONTEXT = {
    "total": "1234.5",
    "fee": {"amount": "3", "currency": "EUR"},
    "share": 0.256,
    "when": datetime(2026, 7, 4, 15, 5, tzinfo=UTC),
    "locale": "en-GB",
    "time_zone": "Europe/London",
}


def test_examples_of_filters_show_what_the_page_says(render: Callable[..., Any]) -> None:
    examples = _EXAMPLE.findall(PAGE.read_text())
    assert len(examples) >= 10
    source = "\n".join(template.replace("\\|", "|") for template, _ in examples)
    packed = msgpack.packb(CONTEXT, datetime=True)
    [answer] = render({"outer.html": "{{ content }}", "inner.html": source}, {"context": packed})
    assert answer.html.splitlines() == [shown for _, shown in examples], answer.failure.text


def test_example_of_a_subject(render: Callable[..., Any]) -> None:
    [subject] = re.findall(r"^    (\{% if locale .+)$", PAGE.read_text(), re.MULTILINE)
    recipients = [{"context": {"locale": locale, "number": 7}} for locale in ("de", "en")]
    answers = render({"outer.html": "", "inner.html": ""}, *recipients, subject_template=subject)
    assert [answer.subject for answer in answers] == ["Ihre Rechnung 7", "Your invoice 7"]
