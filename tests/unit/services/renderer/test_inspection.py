"""What a template needs and gets wrong, over everything that it uses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from morpheus_kit.blobs import Blob
from morpheus_kit.errors import NotFoundError, TooLargeError
from services.renderer import inspection
from services.renderer.analysis import describe_template
from services.renderer.frames import Compile, Description
from services.renderer.inspection import GIVEN, Inspector, Report


class Templates:
    """A store of sources by path."""

    def __init__(self, templates: dict[str, str]) -> None:
        self.templates = templates

    async def read(self, path: str, limit: int) -> Blob:
        if path not in self.templates:
            raise NotFoundError(f"{path} is not there.")
        if self.templates[path] == "too large":
            raise TooLargeError(f"{path} has more than {limit} bytes.")
        content = self.templates[path].encode()
        return Blob(content, hashlib.sha256(content).hexdigest())

    async def list(self, prefix: str, limit: int) -> list[str]:
        assert limit
        return [path for path in self.templates if path.startswith(prefix)]


async def inspect(templates: dict[str, str], path: str = "t.html", source: str | None = None) -> Report:
    async def describe(name: str, content: bytes) -> Description:
        return describe_template(Compile(name, content))

    store: Any = Templates(templates)
    return await Inspector(store, describe).inspect(path, source.encode() if source is not None else None)


@pytest.mark.parametrize(
    ("templates", "needed"),
    [
        (
            {"t.html": "{{ a }}{% if b %}{{ c.d }}{% endif %}{% for x in xs %}{{ x }}{{ loop.last }}{% endfor %}"},
            "a b c xs",
        ),
        ({"t.html": "{% set a = b %}{{ a }}{{ range(3) }}{{ first_name }}"}, "b first_name"),
        (
            {
                "t.html": "{% extends 'p.html' %}{% block x %}{{ a }}{{ super() }}{% endblock %}",
                "p.html": "{{ title }}{% block x %}{{ b }}{% endblock %}",
            },
            "a b title",
        ),
        ({"t.html": "{% extends 'p.html' %}{% set title = 'Hi' %}", "p.html": "{{ title }}{{ b }}"}, "b"),
        (
            {"t.html": "{% for line in lines %}{% include 'l.html' %}{% endfor %}", "l.html": "{{ line }}{{ unit }}"},
            "lines unit",
        ),
        ({"t.html": "{% with a = b %}{% include 'l.html' %}{% endwith %}", "l.html": "{{ a }}"}, "b"),
        ({"t.html": "{% include 'l.html' without context %}", "l.html": "{{ a }}"}, ""),
        (
            {
                "t.html": "{% from 'm.html' import row %}{{ row(x) }}",
                "m.html": "{% macro row(y) %}{{ y }}{{ z }}{% endmacro %}",
            },
            "x",
        ),
        (
            {
                "t.html": "{% import 'm.html' as m with context %}{{ m.row() }}",
                "m.html": "{% macro row() %}{{ z }}{% endmacro %}",
            },
            "z",
        ),
        (
            {
                "t.html": "{% macro row(user) %}{{ user }}{% endmacro %}{% include 'l.html' %}",
                "l.html": "{{ user }}{{ row(1) }}",
            },
            "user",
        ),
        ({"t.html": "{% include 't.html' %}{{ a }}"}, "a"),
        ({"t.html": "x", "t.de.html": "{{ de }}", "t.txt": "{{ text }}"}, "de text"),
    ],
)
async def test_variables_are_those_that_nobody_sets(templates: dict[str, str], needed: str) -> None:
    report = await inspect(templates)
    assert report.faults == []
    assert sorted(report.variables()) == needed.split()


async def test_what_it_uses_is_listed_once_with_the_lines() -> None:
    report = await inspect(
        {
            "t.html": "{% extends 'p.html' %}\n\n"
            "{% block x %}{% include ['l.html', 'm.html'] ignore missing %}{% endblock %}",
            "p.html": "{% import 'l.html' as l %}{% block x %}{% endblock %}",
            "l.html": "",
        }
    )
    assert list(report.used) == ["t.html", "p.html", "l.html"]
    first = report.used["t.html"]
    assert first.version
    assert [(each.kind, each.names, each.line, each.optional) for each in first.description.references] == [
        ("extends", ["p.html"], 1, False),
        ("include", ["l.html", "m.html"], 3, True),
    ]


@pytest.mark.parametrize(
    ("templates", "faults"),
    [
        ({}, [("template_missing", "t.html", 0, "template t.html is not in")]),
        ({"t.html": "{% include 'a.html' ignore missing %}"}, []),
        (
            {"t.html": "\n{% include ['a.html', 'b.html'] %}"},
            [("template_missing", "t.html", 2, "a.html or b.html is")],
        ),
        ({"t.html": "\n{% include ['a.html', 'b.html'] %}", "b.html": ""}, []),
        (
            {"t.html": "{% include 'a.html' %}\n{% include 'a.html' %}"},
            [("template_missing", "t.html", 1, "a.html"), ("template_missing", "t.html", 2, "a.html")],
        ),
        (
            {"t.html": "{% include 'a.html' %}", "a.html": "\n\n{% if x %}"},
            [("template_invalid", "a.html", 3, "a.html, line 3: Unexpected end of template")],
        ),
        ({"t.html": "\n{{ x|nofilter }}"}, [("template_invalid", "t.html", 2, "No filter named 'nofilter'")]),
        ({"t.html": "\n{% include x %}"}, [("template_invalid", "t.html", 2, "must be literal")]),
        ({"t.html": "a", "t.de.html": "{{ }}"}, [("template_invalid", "t.de.html", 1, "Expected an expression")]),
        (
            {"t.html": "\n\n{% extends 'a.html' %}", "a.html": "too large"},
            [("template_invalid", "t.html", 3, "template a.html has more than")],
        ),
    ],
)
async def test_every_fault_has_its_template_and_line(templates: dict[str, str], faults: list[Any]) -> None:
    report = await inspect(templates)
    assert [fault[:3] for fault in report.faults] == [fault[:3] for fault in faults]
    for found, expected in zip(report.faults, faults, strict=True):
        assert expected[3] in found.text


async def test_a_source_stands_in_for_what_the_store_has() -> None:
    report = await inspect({"t.html": "{{ old }}", "l.html": "{{ part }}"}, source="{{ new }}{% include 'l.html' %}")
    assert sorted(report.variables()) == ["new", "part"]
    assert report.used["t.html"].version == ""


async def test_more_templates_than_a_group_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MOST_TEMPLATES", 2)
    report = await inspect({"t.html": "{% include 'a.html' %}", "a.html": "{% include 'b.html' %}", "b.html": ""})
    assert [fault.text for fault in report.faults] == ["more than 2 templates"]


def test_given_variables_are_those_that_every_message_has(render: Callable[..., Any]) -> None:
    names = sorted(GIVEN)
    outer = "{{ content }}|" + "|".join(f"{name}={{{{ {name} is defined }}}}" for name in names)
    [answer] = render(
        {"outer.html": outer, "inner.html": "x"},
        {"address": "ann@example.com", "unsubscribe_url": "https://a.example/u/x"},
    )
    assert answer.html.count("=True") == len(names)
