"""How the children's lines look: as they are in a pipe or file, readable on a terminal."""

import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from local.supervisor import Say

COLOURS = {"redis": 31, "renderer": 35, "tracker": 36, "intake": 32, "dispatcher": 33, "gateway": 34, "local": 1}
# What the prefix says already, or what a person at a terminal does not ask for.
LEFT_OUT = frozenset({"event", "level", "module", "service", "timestamp"})


def readable(line: str) -> str:
    """A JSON log line as `time level event key=value …`; any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "event" not in entry:
        return line
    time = str(entry.get("timestamp", ""))[11:19]
    level = entry.get("level", "info")
    fields = [f"{name}={value}" for name, value in entry.items() if name not in LEFT_OUT]
    words = [time, "" if level == "info" else str(level).upper(), str(entry["event"]), *fields]
    return " ".join(word for word in words if word)


def printer(environ: Mapping[str, str]) -> Say:
    """Each line under its service's name, in its colour on a terminal that may have colours."""
    terminal = sys.stdout.isatty()
    coloured = terminal and not environ.get("NO_COLOR")

    def say(name: str, line: str) -> None:
        label = f"{name:<10} |"
        start, end = (f"\033[{COLOURS.get(name, 0)}m", "\033[0m") if coloured else ("", "")
        # Whoever read our lines has gone: the stack goes on.
        with contextlib.suppress(BrokenPipeError):
            print(f"{start}{label}{end} {readable(line) if terminal else line}", flush=True)

    return say


def to_file(path: Path) -> Say:
    """All lines, as they are, into a file; opened for each line, since a demonstration has few of them."""

    def say(name: str, line: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{name:<10} | {line}\n")

    return say
