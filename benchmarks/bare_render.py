"""The bare loop that the renderer is measured against: the same libraries, one process, nothing else.

    python -m benchmarks.bare_render

Plain Jinja2 (no sandbox), contexts already decoded, no message is checked, counted, serialized or handed to another
process. Reads a line for each round and answers with the seconds of CPU that it took for MESSAGES emails.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import css_inline
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from resiliparse.extract.html2text import extract_plain_text

from benchmarks import sample

MESSAGES = 5_000


class Loop:
    """Renders emails one after another."""

    def __init__(self) -> None:
        environment = Environment(loader=FileSystemLoader(sample.TEMPLATES), autoescape=True)
        self._outer = environment.get_template("outer.html")
        self._inner = environment.get_template("inner.html")
        self._subject = Environment(autoescape=False).from_string(sample.SUBJECT)  # noqa: S701  no HTML
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False)

    def render(self, recipient: dict[str, Any]) -> tuple[str, str, str]:
        """Subject, HTML and text of one email."""
        variables = {**sample.SHARED_CONTEXT, **recipient, **recipient["context"]}
        variables["full_name"] = f"{recipient['first_name']} {recipient['last_name']}"
        variables["subject"] = subject = self._subject.render(variables)
        variables["content"] = Markup(self._inner.render(variables))  # noqa: S704  rendered with autoescape
        html = self._outer.render(variables)
        text = extract_plain_text(html, preserve_formatting=True, list_bullets=True, alt_texts=True, links=True)
        return subject, self._inliner.inline(html), str(text)

    def seconds(self, recipients: Sequence[dict[str, Any]]) -> float:
        """CPU of all of them."""
        started = time.process_time()
        for recipient in recipients:
            self.render(recipient)
        return time.process_time() - started


def main() -> None:
    """Until the input is closed."""
    loop = Loop()
    recipients = [sample.recipient(index) for index in range(MESSAGES)]
    for _ in sys.stdin:
        sys.stdout.write(f"{loop.seconds(recipients)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
