"""What a template refers to, and what is wrong with it."""

from __future__ import annotations

import pytest

from services.renderer import analysis
from services.renderer.analysis import LARGEST_CODE, NOT_LITERAL, compile_template
from services.renderer.frames import Compile


@pytest.mark.parametrize(
    ("source", "required", "optional"),
    [
        ("plain", [], []),
        ("{% extends 'a' %}{% block x %}{% include 'b' %}{% endblock %}", [["a"], ["b"]], []),
        ("{% import 'm' as m %}{% from 'n' import x %}", [["m"], ["n"]], []),
        ("{% include ['a', 'b'] %}", [["a", "b"]], []),
        ("{% include ('a', 'b') ignore missing %}", [], ["a", "b"]),
        ("{% if x %}{% include 'a' ignore missing %}{% endif %}", [], ["a"]),
    ],
)
def test_references_are_found(source: str, required: list[list[str]], optional: list[str]) -> None:
    found = compile_template(Compile("t.html", source.encode()))
    assert sorted(found.required) == sorted(required)
    assert found.optional == optional
    assert not found.code


@pytest.mark.parametrize(
    "source", ["\n{% include x %}", "\n{% extends 'a' ~ x %}", "\n{% include ['a', x] %}", "\n{% include 5 %}"]
)
def test_name_known_only_while_rendering_is_refused(source: str) -> None:
    found = compile_template(Compile("t.html", source.encode()))
    assert found.code == "template_invalid"
    assert found.text == f"t.html, line 2: {NOT_LITERAL}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b"\n\n{% if x %}", "t.html, line 3: Unexpected end of template"),
        (b"\n{{ x|nofilter }}", "t.html, line 2: No filter named 'nofilter'"),
        (b"{{ }}", "t.html, line 1"),
        (b"a\xffb", "t.html, line 1: the file is not UTF-8 text"),
        (b"{{ " + b"(" * 5000 + b"1" + b")" * 5000 + b" }}", ""),
    ],
)
def test_broken_template_is_named_with_its_line(source: bytes, text: str) -> None:
    found = compile_template(Compile("t.html", source))
    assert found.code in {"template_invalid", "render_failed"}
    assert text in found.text


def test_template_that_compiles_to_too_much_is_refused_with_the_limit() -> None:
    """A short source: what can be computed while compiling is."""
    for width, code in ((100, ""), (LARGEST_CODE, "template_invalid")):
        found = compile_template(Compile("t.html", f"{{{{ 'x'|center({width}) }}}}".encode()))
        assert found.code == code
        assert bool(found.content) != bool(code)
    assert found.text == f"t.html: it compiles to more than {LARGEST_CODE} bytes"


def test_largest_code_that_is_allowed_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(compile_template(Compile("t.html", b"x")).content)
    for limit, code in ((size, ""), (size - 1, "template_invalid")):
        monkeypatch.setattr(analysis, "LARGEST_CODE", limit)
        assert compile_template(Compile("t.html", b"x")).code == code
