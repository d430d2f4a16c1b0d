"""Which templates and which text part a recipient gets by locale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Render = Callable[..., Any]
TEMPLATES = {
    "outer.html": "<main>{{ content }}</main>",
    "outer.de.html": "<haupt>{{ content }}</haupt>",
    "inner.html": "hello",
    "inner.de.html": "hallo",
    "inner.de-CH.html": "grüezi",
    "inner.fr.html": "salut",
}


@pytest.mark.parametrize(
    ("locale", "html"),
    [
        (None, "<main>hello</main>"),
        ("", "<main>hello</main>"),
        ("en-GB", "<main>hello</main>"),
        ("de", "<haupt>hallo</haupt>"),
        ("de-AT", "<haupt>hallo</haupt>"),
        ("de_ch", "<haupt>grüezi</haupt>"),
        ("fr-CA", "<main>salut</main>"),
    ],
)
def test_recipient_gets_the_nearest_variant_of_both_templates(render: Render, locale: str | None, html: str) -> None:
    [answer] = render(TEMPLATES, {"context": {"locale": locale}})
    assert answer.html == html, answer.failure.text


def test_recipients_locale_wins_over_the_shared_one_and_subjects_see_it(render: Render) -> None:
    subject = "{% if locale %}{{ locale }}{% else %}none{% endif %}"
    answers = render(
        TEMPLATES,
        {},
        {"context": {"locale": "de_ch"}},
        {"context": {"locale": ""}},
        context={"locale": "fr"},
        subject_template=subject,
    )
    assert [answer.subject for answer in answers] == ["fr", "de-CH", "none"]
    assert ["salut" in answers[0].html, "grüezi" in answers[1].html, "hello" in answers[2].html] == [True] * 3


def test_every_recipient_with_a_bad_locale_or_zone_fails_alone(render: Render) -> None:
    contexts: list[dict[str, Any]] = [{"locale": "klingon"}, {}, {"locale": 7}, {"time_zone": "Nowhere"}]
    answers = render(TEMPLATES, *[{"context": context} for context in contexts])
    assert [answer.failure.code for answer in answers] == ["render_failed", "", "render_failed", "render_failed"]
    assert answers[0].failure.text == "context.locale: 'klingon' is not a locale such as en or en-GB"
    assert "context.time_zone: 'Nowhere'" in answers[3].failure.text


def test_failing_variant_is_named_with_its_line(render: Render) -> None:
    answers = render(
        TEMPLATES | {"inner.de.html": "a\n{{ gone }}"},
        *[{"context": {"locale": locale}} for locale in ("de", "en", "de-AT")],
    )
    assert [answer.failure.text for answer in answers] == [
        "inner.de.html, line 2: variable 'gone' is missing",
        "",
        "inner.de.html, line 2: variable 'gone' is missing",
    ]


def test_sms_has_variants(render: Render) -> None:
    group = {"outer_template": "", "subject_template": "", "inner_template": "sms.txt"}
    recipients = [{"context": {"locale": locale}} for locale in ("de-AT", "en")]
    answers = render({"sms.txt": "hello", "sms.de.txt": "hallo"}, *recipients, **group)
    assert [answer.text for answer in answers] == ["hallo", "hello"]


def test_text_beside_the_inner_template_is_the_text_part_unescaped(render: Render) -> None:
    templates = TEMPLATES | {"inner.txt": "\nHi {{ x }}\n\n{{ content is defined }}\n"}
    [answer] = render(templates, context={"x": "<&>"})
    assert answer.text == "Hi <&>\n\nFalse"
    assert answer.html == "<main>hello</main>"


def test_text_beside_the_outer_template_goes_around_it(render: Render) -> None:
    templates = TEMPLATES | {"inner.txt": "Hi", "outer.txt": "{{ subject }}\n{{ content }}\nbye"}
    [answer] = render(templates, subject_template="S & T")
    assert answer.text == "S & T\nHi\nbye"
    without = {path: source for path, source in templates.items() if path != "inner.txt"}
    assert render(without)[0].text == "hello"


def test_text_belongs_to_its_own_variant_only(render: Render) -> None:
    """Else a recipient would read one language in HTML and another in text."""
    templates = TEMPLATES | {"inner.txt": "HELLO", "inner.fr.txt": "SALUT"}
    answers = render(templates, *[{"context": {"locale": locale}} for locale in ("en", "fr", "de")])
    assert [answer.text for answer in answers] == ["HELLO", "SALUT", "hallo"]


def test_failing_text_fails_the_message_and_is_named(render: Render) -> None:
    [answer] = render(TEMPLATES | {"inner.txt": "\n{{ gone }}"})
    assert answer.failure.text == "inner.txt, line 2: variable 'gone' is missing"
