"""What a template refers to, and which loaded templates are kept."""

from __future__ import annotations

import hashlib

import pytest

from services.renderer import pinned
from services.renderer.frames import Inspect, Inspected
from services.renderer.pinned import NOT_LITERAL, TemplateSets
from services.renderer.shared_cache import OwnedCache


def inspect(cache: OwnedCache, source: bytes) -> Inspected:
    version = hashlib.sha256(source).hexdigest()
    cache.put(version, source)
    return TemplateSets(cache).inspect(Inspect("t.html", version))


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
def test_references_are_found(cache: OwnedCache, source: str, required: list[list[str]], optional: list[str]) -> None:
    found = inspect(cache, source.encode())
    assert sorted(found.required) == sorted(required)
    assert found.optional == optional
    assert not found.code


@pytest.mark.parametrize(
    "source", ["\n{% include x %}", "\n{% extends 'a' ~ x %}", "\n{% include ['a', x] %}", "\n{% include 5 %}"]
)
def test_name_known_only_while_rendering_is_refused(cache: OwnedCache, source: str) -> None:
    found = inspect(cache, source.encode())
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
def test_broken_template_is_named_with_its_line(cache: OwnedCache, source: bytes, text: str) -> None:
    found = inspect(cache, source)
    assert found.code in {"template_invalid", "render_failed"}
    assert text in found.text


def test_sets_are_found_again_and_the_oldest_goes(cache: OwnedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "MOST_SETS", 2)
    sets = TemplateSets(cache)
    first = sets.get({"a": "1"}, strict=True)
    assert sets.get({"a": "1"}, strict=True) is first
    assert sets.get({"a": "1"}, strict=False) is not first
    assert sets.get({"a": "1"}, strict=True) is first
    sets.get({"a": "2"}, strict=True)
    sets.get({"a": "3"}, strict=True)
    assert sets.get({"a": "1"}, strict=True) is not first


def test_subject_is_compiled_once(cache: OwnedCache) -> None:
    templates = TemplateSets(cache).get({}, strict=True)
    assert templates.subject("Hi {{ x }}") is templates.subject("Hi {{ x }}")
    for number in range(pinned.MOST_SUBJECTS):
        templates.subject(f"{number}")
    assert len(templates._subjects) == pinned.MOST_SUBJECTS


def test_compiled_code_is_shared_through_the_folder(cache: OwnedCache) -> None:
    inspect(cache, b"Hi {{ x }}")
    assert len(list(cache.bytecode_folder("html").iterdir())) == 1
    assert not list(cache.bytecode_folder("text").iterdir())
