"""Which line of which template, or which other step, a worker was at when it was killed or crashed.

The front asks with a signal, and a crash asks itself; the answer is written by C code that needs no interpreter, so
it comes from the middle of a long call too. Code of templates has the template's own path and lines
(`environment.Sandbox`), which is what the dump shows.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import weakref
from pathlib import Path

SIGNAL = signal.SIGUSR1
LARGEST = 64 * 1024
STEPS = {"inline_css": "CSS", "text_of": "text part", "to_html": "Markdown", "write_pdf": "PDF"}
"""What else takes time, by the function that does it."""
_BEGIN = "(most recent call first):"
# The worker's own code has absolute paths, the interpreter's has <names>; paths of templates are relative.
_TEMPLATE = re.compile(r'^  File "([^"/<][^"]*)", line (\d+) in ', re.MULTILINE)
_STEP = re.compile(rf'/services/renderer/\w+\.py", line \d+ in ({"|".join(STEPS)})$', re.MULTILINE)


class StackDump:
    """The file that a worker writes to, seen from the front."""

    def __init__(self, path: Path) -> None:
        """`path` is made; it may be unlinked when the worker has opened it."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        weakref.finalize(self, os.close, self._file)

    def clear(self) -> None:
        """What was written concerns nobody any more."""
        os.ftruncate(self._file, 0)

    def place(self) -> str:
        """`inner.html, line 3`, the innermost, or `CSS`; empty when it was at none of these."""
        stack = os.pread(self._file, LARGEST, 0).decode("ascii", errors="replace").rpartition(_BEGIN)[2]
        found = _TEMPLATE.search(stack)
        if found:
            return f"{_unescaped(found[1])}, line {found[2]}"
        step = _STEP.search(stack)
        return STEPS[step[1]] if step else ""


def answer(path: Path) -> None:
    """From now on this process writes its stack into `path` when it is asked, and when it crashes."""
    file = path.open("ab", buffering=0)
    faulthandler.enable(file, all_threads=False)
    faulthandler.register(SIGNAL, file, all_threads=False)


def _unescaped(name: str) -> str:
    """What is not ASCII is written as Python's escapes."""
    return re.sub(r"\\(?:x(..)|u(.{4})|U(.{8}))", lambda match: chr(int(match[1] or match[2] or match[3], 16)), name)
