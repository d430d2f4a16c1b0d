"""What a worker's dump says of the template that it was at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.renderer.stack_dump import StackDump

OWN = '  File "/app/services/renderer/compose.py", line 9 in render\n  File "<frozen runpy>", line 86 in _run_code\n'
ASKED = "Stack (most recent call first):\n"
CRASHED = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n"


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("", ""),
        (ASKED + OWN, ""),
        (ASKED + '  File "a/b.html", line 3 in root\n' + OWN, "a/b.html, line 3"),
        (CRASHED + '  File "s3://bucket/b.html", line 3 in root\n' + OWN, "s3://bucket/b.html, line 3"),
        (ASKED + '  File "/lib/x.py", line 1 in f\n  File "in.html", line 2 in m\n  File "out.html", line 9 in root\n',
         "in.html, line 2"),
        (ASKED + '  File "old.html", line 3 in root\n' + ASKED + OWN, ""),
        (ASKED + '  File "old.html", line 3 in root\n' + ASKED + '  File "new.html", line 4 in root\n',
         "new.html, line 4"),
        (ASKED + '  File "gr\\xf6\\xdfe-\\u20ac-\\U0001f600.html", line 3 in root\n', "größe-€-😀.html, line 3"),
        (ASKED + '  File "cut off', ""),
        (CRASHED + '  File "/app/services/renderer/text.py", line 30 in inline_css\n' + OWN, "CSS"),
        (ASKED + '  File "/l/x.py", line 1 in x\n  File "/a/services/renderer/weasy.py", line 3 in write_pdf\n', "PDF"),
        (ASKED + '  File "/l/x.py", line 3 in write_pdf\n', ""),
    ],
)  # fmt: skip
def test_innermost_template_of_the_last_dump_is_named(tmp_path: Path, written: str, place: str) -> None:
    dump = StackDump(tmp_path / "stack")
    (tmp_path / "stack").write_text(written)
    assert dump.place() == place
    dump.clear()
    assert dump.place() == ""


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGUSR1)", "os.abort()"])
def test_process_says_where_it_is_when_it_is_asked_and_when_it_crashes(tmp_path: Path, end: str) -> None:
    dump = StackDump(tmp_path / "stack")
    program = f"""
import os, pathlib, signal, sys
from services.renderer import stack_dump
stack_dump.answer(pathlib.Path(sys.argv[1]))
exec(compile("\\n\\ndef f(): {end}\\nf()", "größe.html", "exec"))
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "stack"], check=False, capture_output=True)
    assert dump.place() == "größe.html, line 3"
