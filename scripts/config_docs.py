"""Makes `docs/configuration.md` from the `config.py` of every service. `--check` fails on a difference."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from morpheus_kit.config import PREFIX, Settings

TARGET = Path(__file__).parent.parent / "docs" / "configuration.md"
SERVICES = ("gateway", "services.intake", "services.renderer", "services.dispatcher", "services.tracker")
HEAD = """# Configuration

Environment only. Times are plain seconds, lists have commas, and the `_FILE` twin of any name reads the value from a
file. A `MORPHEUS_` name that no service knows stops the start. `python -m services.<name> --check-config` validates
without starting. This page is generated (`make gen`).
"""


def settings_class(service: str) -> type[Settings]:
    """The one `Settings` subclass that a service's `config.py` defines."""
    module = importlib.import_module(f"{service}.config")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Settings) and value.__module__ == module.__name__
    ]
    return found[0]


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for service in SERVICES:
        parts.append(f"\n## {service}\n\n| name | default | meaning |\n|---|---|---|\n")
        parts += [_row(name, field) for name, field in settings_class(service).model_fields.items()]
    return "".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    value = "required" if field.is_required() else field.get_default(call_default_factory=True)
    value = "" if value is None else value
    shown = ",".join(str(item) for item in value) if isinstance(value, list | tuple) else str(value)
    meaning = (field.description or "").replace("\n", " ").replace("|", "\\|")
    return f"| `{PREFIX}{name.upper()}` | {f'`{shown}`' if shown else '–'} | {meaning} |\n"


def main(argv: list[str]) -> int:
    """Writes the page, or with `--check` says whether it is stale."""
    text = page()
    if "--check" in argv:
        if TARGET.read_text() != text:
            sys.stderr.write("docs/configuration.md is stale: run make gen\n")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
