"""Lines of compiled templates."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType

import pytest
from jinja2 import DictLoader, Template

from services.renderer.environment import Sandbox
from services.renderer.filters import Formats

LONG = "{{ x }}" * 300
SOURCES = [
    "",
    "one line",
    "{{ a }}\n\n{{ b }}\n" + "\n" * 100 + "{{ c }}",
    f"{LONG}\n{{% if x %}}\n{LONG}\n{{% endif %}}\n{{{{ y }}}}",
    "{% block late %}\n{{ a }}\n{% endblock %}\n{% macro m(x) %}\n{{ x }}\n{% endmacro %}\n{{ m(1) }}",
    "debug_info = '7=1'\n{{ \"debug_info = '9=1'\" }}\n{{ x }}",
]


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from codes(each)


@pytest.mark.parametrize("source", SOURCES)
def test_each_instruction_has_the_line_of_the_template(source: str) -> None:
    sandbox = Sandbox(html=True, strict=True, loader=DictLoader({}), formats=Formats())
    generated = sandbox.compile(source, "t", "t", raw=True)
    plain, moved = compile(generated, "t", "exec"), sandbox.compile(source, "t", "t")
    corresponding = Template.from_code(sandbox, plain, {}).get_corresponding_lineno
    for before, after in zip(codes(plain), codes(moved), strict=True):
        assert before.co_code == after.co_code
        expected = [(start, end, corresponding(line)) for start, end, line in before.co_lines() if line is not None]
        lines = dict(_each_unit(after))
        assert expected
        assert all(lines[unit] == line for unit, line in _each_unit_of(expected))


def test_error_names_the_line_after_many_that_print_nothing() -> None:
    sandbox = Sandbox(html=True, strict=True, loader=DictLoader({"t": "\n" * 500 + "{{ x.y }}"}), formats=Formats())
    code = sandbox.compile("\n" * 500 + "{{ x.y }}", "t", "t")
    assert max(line for each in codes(code) for _, _, line in each.co_lines() if line) == 501


def _each_unit(code: CodeType) -> Iterator[tuple[int, int]]:
    return _each_unit_of([(start, end, line or 0) for start, end, line in code.co_lines()])


def _each_unit_of(ranges: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    return ((unit, line) for start, end, line in ranges for unit in range(start, end, 2))
