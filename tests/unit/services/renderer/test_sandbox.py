"""What templates may not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ x.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__['__builtins__'] }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ '{0.__class__}'.format(x) }}",
    "{{ '{0.__class__.__mro__}'.format_map({'0': x}) }}",
    "{{ ('{0.__cl' ~ 'ass__}').format(x) }}",
    "{{ content.__html__.__globals__ }}",
    "{{ [x]|map(attribute='__class__')|list }}",
    "{{ range.__call__ }}",
    "{{ (x|tojson).__class__ }}",
    "{{ when.__reduce__() }}",
    "{% set f = ''.format %}{{ f.__self__.__class__ }}",
    "{{ ''.join.__call__.__self__ }}",
    "{{ lipsum() }}",
    "{{ y.append(1) }}",
    "{{ m.update({'a': 1}) }}",
    "{{ m.clear() }}",
    "{{ y.sort() }}",
]
PRIVATE = ("class '", "__globals__", "subclasses", "<module", "<function", "built-in", "uid=", "<method")


@pytest.mark.parametrize("mode", ["error", "empty"])
@pytest.mark.parametrize("source", ESCAPES)
def test_escape_is_refused_or_empty(render: Callable[..., Any], source: str, mode: str) -> None:
    templates = {"outer.html": "{{ content }}", "inner.html": source}
    answer, again = render(templates, {}, {}, context={"x": "s", "y": [2, 1], "m": {"k": 1}}, missing_variables=mode)
    assert answer.html == again.html
    assert not any(word in answer.html for word in PRIVATE), answer.html
    if mode == "error":
        assert answer.failure.code in {"render_failed", "variable_missing"}, answer.html


@pytest.mark.parametrize("source", ESCAPES)
def test_subject_is_in_the_same_sandbox(render: Callable[..., Any], source: str) -> None:
    templates = {"outer.html": "{{ content }}", "inner.html": ""}
    [answer] = render(templates, context={"x": "s", "y": [2, 1], "m": {"k": 1}}, subject_template=source)
    assert answer.failure.code in {"render_failed", "variable_missing"}, answer.subject


@pytest.mark.parametrize(
    "value", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "&amp;"]
)
def test_values_are_text_in_html(render: Callable[..., Any], value: str) -> None:
    templates = {"outer.html": "{{ content }}", "inner.html": '<a title="{{ x }}">{{ x }}</a>'}
    [answer] = render(templates, {"context": {"x": value}})
    assert "<script" not in answer.html
    assert "<img" not in answer.html
    assert "49" not in answer.html
    assert "&amp;amp;" in answer.html if value == "&amp;" else True
