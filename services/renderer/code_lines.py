"""Gives the code of a template the lines of the template.

Jinja2 compiles a template by way of Python source and keeps a table from its lines to those of the template. Code that
has the template's own lines says where it is without that table: in tracebacks, and in the dump of a dying worker.
Columns, which would be those of the Python source, go: the file of a template is a tenth smaller without them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from types import CodeType

# Of CPython's location table (Objects/locations.md): an entry is for up to eight code units; this kind has no columns.
_NO_COLUMNS, _MOST_UNITS, _UNIT_BYTES = 13, 8, 2
_TABLE = re.compile(r"^debug_info = '([0-9=&]*)'$", re.MULTILINE)


def compile_at_lines(source: str, filename: str) -> CodeType:
    """Compiles Python source that Jinja2 has made of a template."""
    table = _TABLE.findall(source)[-1]
    pairs = [tuple(map(int, pair.split("="))) for pair in table.split("&") if pair]
    templates, starts = [1, *(pair[0] for pair in pairs)], [pair[1] for pair in pairs]
    return _moved(compile(source, filename, "exec"), lambda line: templates[bisect_right(starts, line)])


def _moved(code: CodeType, to: Callable[[int], int]) -> CodeType:
    """The same code, that within it included, with each line `n` as `to(n)`."""
    first = last = to(code.co_firstlineno)
    table = bytearray()
    for start, end, line in code.co_lines():
        moved = last if line is None else to(line)
        for left in range((end - start) // _UNIT_BYTES, 0, -_MOST_UNITS):
            table.append(0x80 | _NO_COLUMNS << 3 | min(left, _MOST_UNITS) - 1)
            table += _signed(moved - last)
            last = moved
    inner = tuple(_moved(each, to) if isinstance(each, CodeType) else each for each in code.co_consts)
    return code.replace(co_firstlineno=first, co_linetable=bytes(table), co_consts=inner)


def _signed(number: int) -> bytes:
    """A variable-length integer: six bits a byte, the lowest first; the very lowest is the sign."""
    rest = -number << 1 | 1 if number < 0 else number << 1
    out = bytearray()
    while rest > 0x3F:
        out.append(0x40 | rest & 0x3F)
        rest >>= 6
    out.append(rest)
    return bytes(out)
