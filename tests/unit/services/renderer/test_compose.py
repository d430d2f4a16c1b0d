"""Variables, the two levels of templates, subjects, SMS, attachments, failures of single messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest

from services.renderer import compose
from services.renderer.settings import RenderSettings

PLAIN = {"outer.html": "<main>{{ content }}</main>", "inner.html": "<p>{{ x }}</p>"}
Render = Callable[..., Any]


def inner(source: str) -> dict[str, str]:
    return PLAIN | {"inner.html": source}


def test_inner_is_markup_in_outer_and_subject_is_known_there(render: Render) -> None:
    templates = {"outer.html": "<title>{{ subject }}</title>{{ content }}", "inner.html": "<b>{{ x }}</b>"}
    [answer] = render(templates, context={"x": "<i>"}, subject_template="A & {{ x }}")
    assert answer.subject == "A & <i>"
    assert answer.html == "<title>A &amp; &lt;i&gt;</title><b>&lt;i&gt;</b>"
    assert not answer.HasField("failure")


def test_recipient_context_wins_over_shared(render: Render) -> None:
    one, other = render(PLAIN, {"context": {"x": "own"}}, {}, context={"x": "shared"})
    assert "<p>own</p>" in one.html
    assert "<p>shared</p>" in other.html


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("first_name", "Ann"),
        ("last_name", "Lee"),
        ("full_name", "Ann Lee"),
        ("address", "ann@example.com"),
        ("user_link", "https://example.com/u?a=1&amp;b=2"),
        ("company_code", "acme"),
        ("group_id", "g1"),
        ("tags|join(';')", "shared;own"),
    ],
)
def test_names_of_the_post_are_variables(render: Render, expression: str, value: str) -> None:
    recipient = {
        "first_name": "Ann",
        "last_name": "Lee",
        "user_link": "https://example.com/u?a=1&b=2",
        "tags": ["own"],
    }
    [answer] = render(inner("[{{ " + expression + " }}]"), recipient, tags=["shared"])
    assert answer.html == f"<main>[{value}]</main>"


def test_context_cannot_replace_identity_but_fills_an_empty_name(render: Render) -> None:
    context = {"address": "evil@example.com", "company_code": "other", "first_name": "Context", "content": "fake"}
    [answer] = render(inner("{{ address }} {{ company_code }} {{ first_name }}"), {"context": context})
    assert answer.html == "<main>ann@example.com acme Context</main>"


def test_the_unsubscribe_link_is_the_messages_own_and_missing_where_there_is_none(render: Render) -> None:
    template = inner('{% if unsubscribe_url %}<a href="{{ unsubscribe_url }}">Stop</a>{% else %}none{% endif %}')
    link, context = "https://mail.example.com/u/x", {"unsubscribe_url": "https://evil.example"}
    with_link, without = render(template, {"unsubscribe_url": link, "context": context}, {})
    assert f'<a href="{link}">Stop</a>' in with_link.html
    assert "none" in without.html
    [printed] = render(inner("{{ unsubscribe_url }}"), {})
    assert printed.failure.text == "inner.html, line 1: variable 'unsubscribe_url' is missing"


def test_posted_name_wins_over_context(render: Render) -> None:
    [answer] = render(inner("{{ first_name }}"), {"first_name": "Ann", "context": {"first_name": "Bob"}})
    assert "Ann" in answer.html


def test_recipient_without_variable_fails_alone_and_names_it(render: Render) -> None:
    answers = render(inner("\n<p>{{ order }}</p>"), {"context": {"order": 1}}, {}, {"context": {"order": 3}})
    assert [answer.failure.code for answer in answers] == ["", "variable_missing", ""]
    assert answers[1].failure.text == "inner.html, line 2: variable 'order' is missing"
    assert answers[1].html == answers[1].subject == answers[1].text == ""


def test_missing_variable_in_subject_and_outer_is_named(render: Render) -> None:
    [answer] = render(PLAIN, context={"x": 1}, subject_template="Hi {{ who }}")
    assert answer.failure.text == "subject_template, line 1: variable 'who' is missing"
    [answer] = render({"outer.html": "\n\n{{ brand }}", "inner.html": ""})
    assert answer.failure.text == "outer.html, line 3: variable 'brand' is missing"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% if x %}a{% else %}b{% endif %}", "b"),
        ("{% for y in x %}a{% else %}b{% endfor %}", "b"),
        ("{{ x is defined }}", "False"),
        ("{{ x|default('d') }}", "d"),
        ("{{ m.y is defined }}", "False"),
        ("{{ m.y|default('d') }}", "d"),
        ("{{ x|length }}", "0"),
        ("{{ 'a' if x else 'b' }}", "b"),
        ("{{ nil }}", ""),
        ("{{ nil is none }}", "True"),
    ],
)
def test_missing_is_empty_where_a_template_asks(render: Render, source: str, expected: str) -> None:
    for mode in ("error", "empty"):
        [answer] = render(inner(source), context={"m": {}, "nil": None}, missing_variables=mode)
        assert answer.html == f"<main>{expected}</main>", answer.failure.text


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("{{ x }}", "x"),
        ("{{ x.y }}", "x"),
        ("{{ x['y'] }}", "x"),
        ("{{ x.y is defined }}", "x"),
        ("{{ m.total }}", "total"),
        ("{{ x|upper }}", "x"),
        ("{{ x ~ 'a' }}", "x"),
        ("{{ x + 1 }}", "x"),
        ("{{ [x] }}", "x"),
        ("{{ '%s'|format(x) }}", "x"),
        ("{{ [1, x]|join }}", "x"),
        ("{{ x|tojson }}", ""),
        ("{{ x() }}", "x"),
    ],
)
def test_printing_or_looking_into_missing_fails(render: Render, source: str, variable: str) -> None:
    [answer] = render(inner(source), context={"m": {}})
    if variable:
        assert answer.failure.code == "variable_missing"
        assert f"variable {variable!r} is missing" in answer.failure.text
    else:
        assert answer.failure.code == "render_failed"


def test_empty_mode_prints_nothing_however_deep(render: Render) -> None:
    [answer] = render(inner("[{{ x }}{{ x.y.z }}{{ m.a.b }}{{ [x] }}]"), context={"m": {}}, missing_variables="empty")
    assert answer.html == "<main>[[]]</main>"


@pytest.mark.parametrize(
    ("source", "subject"),
    [
        ("a\r\nBcc: x@example.com", "a Bcc: x@example.com"),
        ("  {% if true %}\n  Hi  {% endif %}\n", "Hi"),
        ("{{ value }}", "x y z & 'q'"),
        ("tab\there\x0b\x85end", "tab here end"),
    ],
)
def test_subject_is_one_line(render: Render, source: str, subject: str) -> None:
    [answer] = render(PLAIN, context={"x": 1, "value": "x\ny\u2028z\x00 & 'q'"}, subject_template=source)
    assert answer.subject == subject


def test_sms_is_text_only_and_not_escaped(render: Render) -> None:
    [answer] = render(
        {"sms.txt": "\nHi {{ first_name }} & {{ x }}\n\n"},
        {"first_name": "A<b>"},
        outer_template="",
        subject_template="",
        inner_template="sms.txt",
        context={"x": '"q"'},
    )
    assert (answer.text, answer.html, answer.subject) == ('Hi A<b> & "q"', "", "")


def test_inheritance_includes_and_macros(render: Render) -> None:
    templates = {
        "base/outer.html": "<main>{% block body %}{% endblock %}{% include 'foot.html' %}</main>",
        "outer.html": "{% extends 'base/outer.html' %}{% block body %}{{ content }}{{ super() }}{% endblock %}",
        "foot.html": "<i>{{ address }}</i>",
        "macros.html": "{% macro button(text) %}<a>{{ text }}</a>{% endmacro %}",
        "inner.html": "{% from 'macros.html' import button %}{{ button(x) }}{% include ['no.html', 'foot.html'] %}",
    }
    [answer] = render(templates, context={"x": "<"})
    assert answer.html == "<main><a>&lt;</a><i>ann@example.com</i><i>ann@example.com</i></main>", answer.failure.text


def test_posted_key_wins_over_method_of_a_map(render: Render) -> None:
    [answer] = render(
        inner("{{ order.items }}{% for k, v in m.items() %}{{ k }}{% endfor %}"),
        context={"order": {"items": 7}, "m": {"k": 1}},
    )
    assert answer.html == "<main>7k</main>", answer.failure.text


def test_timestamps_are_dates(render: Render) -> None:
    packed = msgpack.packb({"when": datetime(2026, 5, 4, tzinfo=UTC)}, datetime=True)
    [answer] = render(inner("{{ when.strftime('%d %B %Y') }}"), {"context": packed})
    assert answer.html == "<main>04 May 2026</main>"


@pytest.mark.parametrize(
    "packed", [b"\xc1", b"\x93\x01", msgpack.packb([1]), msgpack.packb({"a": msgpack.ExtType(5, b"x")}), b"\x81" * 9000]
)
def test_context_that_is_no_map_fails_its_message_only(render: Render, packed: bytes) -> None:
    bad, good = render(PLAIN, {"context": packed}, {"context": {"x": 1}})
    assert bad.failure.code == "render_failed"
    assert "context" in bad.failure.text
    assert not good.HasField("failure")


def test_shared_context_is_not_changed_by_a_message(render: Render) -> None:
    source = "{% set x = y %}{{ x|length }}{{ y.append(1) }}"
    answers = render(inner(source), {}, {}, context={"y": [1]})
    assert {answer.failure.code for answer in answers} == {"render_failed"}
    assert "not allowed in a template" in answers[0].failure.text


@pytest.mark.parametrize(
    ("group", "code", "text"),
    [
        ({"subject_template": "{% if %}"}, "template_invalid", "subject_template, line 1"),
        ({"subject_template": "{{ x|nofilter }}"}, "template_invalid", "No filter named 'nofilter'"),
        ({"inner_template": "gone.html"}, "template_missing", "gone.html"),
    ],
)
def test_what_the_group_shares_fails_every_message(render: Render, group: dict[str, str], code: str, text: str) -> None:
    answers = render(PLAIN, {}, {}, context={"x": 1}, **group)
    assert [answer.id for answer in answers] == ["m0", "m1"]
    assert {answer.failure.code for answer in answers} == {code}
    assert text in answers[0].failure.text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 1 // 0 }}", "inner.html, line 1: ZeroDivisionError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "call each other without end"),
        ("{% include 'inner.html' %}", "call each other without end"),
        ("{{ '\\ud800' }}", ""),
        ("{{ 'a' * 10 ** 9 }}", "not allowed"),
        ("{{ 9 ** 9 ** 9 }}", "not allowed"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
    ],
)
def test_error_of_a_template_is_explained(render: Render, source: str, text: str) -> None:
    [answer] = render(inner(source))
    assert answer.failure.code == "render_failed"
    assert text in answer.failure.text


def test_stored_attachments_are_named_and_typed(render: Render) -> None:
    stored = [{"path": "a/terms.pdf"}, {"path": "x.bin", "name": "Fotos.tar.gz"}, {"path": "x.bin"}]
    [answer] = render(
        PLAIN, {"stored_attachments": stored}, context={"x": 1}, files={"a/terms.pdf": b"P", "x.bin": b"X"}
    )
    assert [(a.name, a.content_type, a.content) for a in answer.attachments] == [
        ("terms.pdf", "application/pdf", b"P"),
        ("Fotos.tar.gz", "application/gzip", b"X"),
        ("x.bin", "application/octet-stream", b"X"),
    ]


def test_missing_attachment_fails_its_message_and_is_named(render: Render) -> None:
    bad, good = render(PLAIN, {"stored_attachments": [{"path": "no.pdf"}]}, {}, context={"x": 1})
    assert bad.failure.code == "attachment_missing"
    assert "no.pdf" in bad.failure.text
    assert not bad.attachments
    assert not good.HasField("failure")


def test_message_beyond_the_limit_fails(render: Render) -> None:
    files = {"big.bin": bytes(900)}
    big = {"stored_attachments": [{"path": "big.bin"}, {"path": "big.bin"}]}
    small = {"stored_attachments": [{"path": "big.bin"}]}
    bad, good = render(PLAIN, big, small, context={"x": 1}, files=files, settings=RenderSettings(1_200))
    assert bad.failure.code == "message_too_large"
    assert len(good.attachments) == 1


def test_more_messages_than_one_batch_come_in_order(render: Render) -> None:
    answers = render(PLAIN, *[{"context": {"x": n} if n != 130 else {}} for n in range(300)])
    assert [answer.id for answer in answers] == [f"m{n}" for n in range(300)]
    assert [n for n, answer in enumerate(answers) if answer.HasField("failure")] == [130]
    assert "<p>299</p>" in answers[299].html


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
PRINTING = "{% for a in range(999) %}xx{% endfor %}"


@pytest.mark.parametrize(
    ("templates", "subject", "place"),
    [
        (inner("a\n" + ENDLESS), "", "inner.html, line 2"),
        (PLAIN | {"outer.html": "\n\n" + ENDLESS}, "", "outer.html, line 3"),
        (inner("\n{% include 'part.html' %}") | {"part.html": ENDLESS}, "", "inner.html, line 2"),
        (inner("{% extends 'base.html' %}{% block b %}\n" + ENDLESS + "{% endblock %}")
         | {"base.html": "{% block b %}{% endblock %}"}, "", "inner.html, line 2"),
        (PLAIN | {"outer.html": "{% include 'part.md' %}", "part.md": "\n" + ENDLESS}, "", "part.md, line 2"),
        (inner("x") | {"inner.txt": "\n" + ENDLESS}, "", "inner.txt, line 2"),
        (inner("\n{% macro m() %}" + PRINTING + "{% endmacro %}{{ m() }}"), "", "inner.html, line 2"),
        (inner("\n{% set s %}" + PRINTING + "{% endset %}"), "", "inner.html, line 2"),
        (inner("\n{% filter upper %}" + PRINTING + "{% endfilter %}"), "", "inner.html, line 2"),
        (inner("\n{% block b %}" + PRINTING + "{% endblock %}"), "", "inner.html, line 2"),
        (PLAIN, "\n" + ENDLESS, "subject_template, line 2"),
    ],
)  # fmt: skip
def test_printing_ends_where_it_is_too_long_already(
    render: Render, templates: dict[str, str], subject: str, place: str
) -> None:
    answers = render(
        templates, {}, settings=RenderSettings(max_message=1000), subject_template=subject or "Hi", context={"x": 1}
    )
    assert [answer.failure.code for answer in answers] == ["message_too_large"]
    assert answers[0].failure.text == f"{place}: it prints more than 1000 characters"


def test_limit_of_output_is_for_each_message(render: Render) -> None:
    recipients = [{"context": {"x": "y" * size}} for size in (900, 5000, 900)]
    answers = render(PLAIN, *recipients, settings=RenderSettings(max_message=2000))
    assert [answer.failure.code for answer in answers] == ["", "message_too_large", ""]


def test_css_that_cannot_be_inlined_fails_its_message_and_names_its_templates(render: Render) -> None:
    templates = PLAIN | {"outer.html": "<style>p{margin:0}</style>{{ content }}", "inner.html": "<p style='{{ x }}'>a"}
    bad, good = render(templates, {"context": {"x": "p{"}}, {"context": {"x": "color:red"}})
    assert bad.failure.code == "render_failed"
    assert bad.failure.text.startswith("inner.html in outer.html: CSS cannot be inlined: Unexpected token")
    assert "margin: 0" in good.html.replace("margin:0", "margin: 0")


def test_memory_that_a_later_step_lacks_names_its_templates(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(html: str) -> str:
        raise MemoryError

    monkeypatch.setattr(compose, "text_of", lack)
    [answer] = render(PLAIN, context={"x": 1})
    assert answer.failure.text == "inner.html in outer.html: rendering needs too much memory"
