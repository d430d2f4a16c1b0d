"""The bare floor: what the same libraries cost in one process with nothing between them.

Unpack, render subject, inner and outer, inline CSS, derive the text part, assemble MIME, insert
with full text in batches. No validation, no queue, no second process, no durability.
"""

from __future__ import annotations

import base64
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import css_inline
import msgpack
import msgspec
import zstandard
from jinja2 import FileSystemLoader
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup
from resiliparse.extract.html2text import extract_plain_text

from benchmarks import sample

MESSAGES = 5_000
RUNS = 3
BATCH = 100


def measure(messages: int = MESSAGES, runs: int = RUNS) -> dict[str, Any]:
    """CPU a message; the median of `runs` and each of them."""
    blobs = [msgpack.packb(sample.recipient(index)) for index in range(messages)]
    _once(blobs[:500])
    readings = [_once(blobs) for _ in range(runs)]
    return {
        "messages": messages,
        "cpu_ms_per_message": round(statistics.median(readings), 4),
        "runs": [round(reading, 4) for reading in readings],
    }


def _once(blobs: list[bytes]) -> float:
    environment = ImmutableSandboxedEnvironment(loader=FileSystemLoader(sample.TEMPLATES), autoescape=True)
    outer, inner = environment.get_template("outer.html"), environment.get_template("inner.html")
    subject_of = ImmutableSandboxedEnvironment().from_string(sample.SUBJECT)
    inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
    decode = msgspec.msgpack.Decoder(dict[str, Any]).decode
    with tempfile.TemporaryDirectory() as folder:
        database = _open(Path(folder) / "floor.db")
        started = time.process_time()
        for batch in _batches(blobs):
            rows = []
            for blob in batch:
                recipient = decode(blob)
                variables = {**sample.SHARED_CONTEXT, **recipient, **recipient["context"]}
                variables["full_name"] = f"{recipient['first_name']} {recipient['last_name']}"
                subject = variables["subject"] = subject_of.render(variables)
                variables["content"] = Markup(inner.render(variables))  # noqa: S704  rendered with autoescape
                html = outer.render(variables)
                text = str(
                    extract_plain_text(html, preserve_formatting=True, list_bullets=True, alt_texts=True, links=True)
                )
                html = inliner.inline(html)
                rows.append(
                    (recipient["address"], subject, text, html, _mime(recipient["address"], subject, text, html))
                )
            _insert(database, rows)
        seconds = time.process_time() - started
        database.close()
    return seconds / len(blobs) * 1000


def _batches(blobs: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(blobs), BATCH):
        yield blobs[start : start + BATCH]


def _mime(address: str, subject: str, text: str, html: str) -> bytes:
    parts = "".join(
        f"--b\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(body.encode()).decode().replace("\n", "\r\n")
        for kind, body in (("plain", text), ("html", html))
    )
    head = f"From: bench@example.org\r\nTo: {address}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    return f"{head}Content-Type: multipart/alternative; boundary=b\r\n\r\n{parts}--b--\r\n".encode()


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE message (id INTEGER PRIMARY KEY, address TEXT, subject TEXT, body BLOB);"
        "CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none);"
    )
    return database


def _insert(database: sqlite3.Connection, rows: list[tuple[str, str, str, str, bytes]]) -> None:
    compress = zstandard.ZstdCompressor(level=1).compress
    database.execute("BEGIN IMMEDIATE")
    for address, subject, text, html, _ in rows:
        cursor = database.execute(
            "INSERT INTO message (address, subject, body) VALUES (?, ?, ?)",
            (address, subject, compress(html.encode() + text.encode())),
        )
        database.execute(
            "INSERT INTO words (rowid, text) VALUES (?, ?)", (cursor.lastrowid, f"{address} {subject} {text}")
        )
    database.execute("COMMIT")
