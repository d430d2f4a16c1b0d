"""What templates may not do: reach out of the sandbox, or change what messages share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from jinja2.filters import FILTERS as DEFAULT_FILTERS

Escapes = dict[str, list[str]]

MACRO = "{% macro m() %}{% endmacro %}"
ESCAPES: Escapes = {
    "attribute walks": [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ ''['__cl' ~ 'ass__'] }}",
        "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "{{ ().__class__.__base__ }}",
        "{{ {}.__class__.__bases__[0] }}",
        "{{ x.__init__.__globals__ }}",
        "{{ m.get.__self__ }}",
        "{{ ''.join.__call__.__self__ }}",
        "{{ (x|tojson).__class__ }}",
        "{{ content.__html__.__globals__ }}",
        "{{ range.__call__ }}",
        "{{ dict.__subclasses__() }}",
        "{{ dict.mro() }}",
        "{{ when.__reduce_ex__(2) }}",
        "{{ none.__class__ }}",
        "{{ gone.__class__ }}",
    ],
    "filters that read attributes": [
        "{{ ''|attr('__class__') }}",
        "{{ ''|attr('__cl' ~ 'ass__') }}",
        "{{ ''.join|attr('__self__') }}",
        "{{ x|attr('format')|attr('__self__')|attr('__class__') }}",
        "{{ [x]|map('attr', '__class__')|list }}",
        "{{ [x]|map(attribute='__class__')|list }}",
        "{{ [[x]]|map('first')|map(attribute='__class__')|list }}",
        "{{ [x]|groupby('__class__') }}",
        "{{ [x]|sort(attribute='__class__.__name__') }}",
        "{{ [x]|sum(attribute='__class__', start='') }}",
        "{{ [x]|join(attribute='__class__') }}",
    ],
    "format strings": [
        "{{ '{0.__class__}'.format(x) }}",
        "{{ '{a.__class__}'.format(a=x) }}",
        "{{ ('{0.__cl' ~ 'ass__}').format(x) }}",
        "{{ '{0[__class__]}'.format(x) }}",
        "{{ '{:{0.__class__}}'.format(x) }}",
        "{{ '{0.__class__.__mro__}'.format_map({'0': x}) }}",
        "{{ '{a.__class__}'.format_map({'a': x}) }}",
        "{{ ('{0.__class__}'|attr('format'))(x) }}",
        "{{ ('{a.__class__}'|attr('format_map'))({'a': x}) }}",
        "{{ ('{0.__class__}'|safe).format(x) }}",
        "{{ ('{a.__class__}'|e).format_map({'a': x}) }}",
        "{% set f = '{0.__class__}'.format %}{{ f(x) }}",
        "{% set f = ''.format %}{{ f.__self__.__class__ }}",
        "{{ '%s'|format(x.__class__) }}",
    ],
    "what Jinja2 brings": [
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ cycler('a').next.__globals__ }}",
        "{{ joiner.__init__.__globals__ }}",
        "{{ joiner(',').__call__.__globals__ }}",
        "{{ namespace.__init__.__globals__['__builtins__'] }}",
        "{{ namespace(a=1).__class__ }}",
        "{% set ns = namespace() %}{{ ns._Namespace__attrs }}",
        "{{ lipsum() }}",
        "{{ lipsum.__globals__['os'] }}",
        MACRO + "{{ m.__globals__ }}",
        MACRO + "{{ m._func.__globals__ }}",
        MACRO + "{{ m._environment }}",
        "{% macro m() %}{{ caller.__class__ }}{% endmacro %}{% call m() %}{% endcall %}",
        "{% macro m() %}{{ kwargs.__class__ }}{% endmacro %}{{ m(a=1) }}",
        "{% for i in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
        "{% for i in [1] %}{{ loop._iterable }}{% endfor %}",
    ],
    "the template itself": [
        "{{ self.__init__.__globals__ }}",
        "{{ self['__class__'] }}",
        "{{ self._TemplateReference__context }}",
        "{% block b %}{{ self.b._context }}{% endblock %}",
        "{% block b %}{{ super.__class__ }}{% endblock %}",
        "{{ environment }}",
        "{{ context.environment }}",
        "{{ __builtins__ }}",
        "{{ __jinja_template__ }}",
    ],
}
CHANGES = [
    "{{ y.append(1) }}",
    "{{ y['append'](1) }}",
    "{{ (y|attr('append'))(1) }}",
    "{% set a = y.append %}{{ a(1) }}",
    "{{ y.extend([1]) }}",
    "{{ y.insert(0, 1) }}",
    "{{ y.pop() }}",
    "{{ y.remove(1) }}",
    "{{ y.reverse() }}",
    "{{ y.sort() }}",
    "{{ y.clear() }}",
    "{{ y.__iadd__([1]) }}",
    "{{ m.update({'a': 1}) }}",
    "{{ m.setdefault('a', 1) }}",
    "{{ m.__setitem__('k', 2) }}",
    "{{ m.pop('k') }}",
    "{{ m.popitem() }}",
    "{{ m.clear() }}",
    "{{ dict.update(m, {'a': 1}) }}",
    "{{ dict['x'].update(m, {'a': 1}) }}",
    "{{ (dict|attr('update'))(m, {'a': 1}) }}",
    "{{ tags.append('a') }}",
]
ALL = [source for family in ESCAPES.values() for source in family]
PRIVATE = re.compile(
    "class '|__globals__|subclasses|<module|<function|<bound|built-in|uid=|<method|object at 0x|<Macro"
)
SHARED = {"x": "s", "y": [2, 1], "m": {"k": 1}, "when": msgpack.Timestamp(0, 0)}
OUTER = {"outer.html": "{{ content }}"}


@pytest.mark.parametrize("mode", ["error", "empty"])
@pytest.mark.parametrize("source", ALL)
def test_escape_is_refused_or_empty(render: Callable[..., Any], source: str, mode: str) -> None:
    [answer] = render(OUTER | {"inner.html": source}, context=SHARED, missing_variables=mode)
    assert not PRIVATE.search(answer.html), answer.html
    if mode == "error":
        assert answer.failure.code in {"render_failed", "variable_missing"}, answer.html


@pytest.mark.parametrize("source", ALL)
def test_subject_is_in_the_same_sandbox(render: Callable[..., Any], source: str) -> None:
    [answer] = render(OUTER | {"inner.html": ""}, context=SHARED, subject_template=source)
    assert not PRIVATE.search(answer.subject), answer.subject
    assert answer.failure.code in {"render_failed", "variable_missing"}, answer.subject


@pytest.mark.parametrize("name", sorted(DEFAULT_FILTERS))
def test_no_filter_changes_what_it_is_given(render: Callable[..., Any], name: str) -> None:
    given = [f"{{% if kind == '{kind}' %}}{{{{ {kind}|{name} }}}}{{% endif %}}" for kind in "ym"]
    templates = OUTER | {"inner.html": "".join(given) + "{{ y }}{{ m }}"}
    recipients = [{"context": {"kind": kind}} for kind in ("", "y", "m", "")]
    before, *_, after = render(templates, *recipients, context=SHARED)
    assert not before.failure.code
    assert after.html == before.html


@pytest.mark.parametrize("mode", ["error", "empty"])
@pytest.mark.parametrize("source", CHANGES)
def test_message_cannot_change_what_others_see(render: Callable[..., Any], source: str, mode: str) -> None:
    templates = OUTER | {"inner.html": "{% if first %}" + source + "{% endif %}{{ y }}{{ m }}{{ tags }}"}
    recipients = [{"context": {"first": first}} for first in (False, True, False)]
    before, changer, after = render(templates, *recipients, context=SHARED, missing_variables=mode, tags=["t"])
    assert changer.failure.code in {"render_failed", "variable_missing"}
    assert after.html == before.html


@pytest.mark.parametrize(
    "module",
    [
        "{% set ns = namespace(seen='') %}{% macro m(x) %}{% set ns.seen = ns.seen ~ x %}{{ ns.seen }}{% endmacro %}",
        "{% set c = cycler('a', 'b') %}{% macro m(x) %}{{ c.next() }}{% endmacro %}",
        "{% set j = joiner(',') %}{% macro m(x) %}{{ j() }}{% endmacro %}",
        "{% set names = ['a', 'b']|map('upper') %}{% macro m(x) %}{{ names|join }}{% endmacro %}",
        "{% from 'deeper.html' import m as d %}{% macro m(x) %}{{ d(x) }}{% endmacro %}",
        "{% from 'deeper.html' import m as d with context %}{% macro m(x) %}{{ d(x) }}{% endmacro %}",
    ],
)
def test_message_does_not_see_what_another_left_in_an_imported_template(
    render: Callable[..., Any], module: str
) -> None:
    deeper = "{% set ns = namespace(n=0) %}{% macro m(x) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{% endmacro %}"
    templates = OUTER | {"module.html": module, "deeper.html": deeper}
    templates["inner.html"] = "{% import 'module.html' as module %}{{ module.m('x') }}{{ module.m('y') }}"
    first, second = render(templates, {}, {})
    assert not first.failure.code
    assert first.html == second.html


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
