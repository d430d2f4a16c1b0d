"""Bodies come back whole, small, and their dictionary holds nobody's own words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from services.tracker.documents import Body
from services.tracker.store.bodies import SELECT, BodyWriter, shared_pieces, unpack_body
from services.tracker.store.schema import connect_writer, migrate

LINE = "<p class='line'>Thank you for your order, it is on its way.</p>"
TEMPLATE = "<html><body>" + LINE * 40 + "<b>{}</b></body></html>"


def body(name: str) -> Body:
    return Body(blob=name.encode(), html=TEMPLATE.format(name), text=f"Dear {name}, thank you.")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_writer(tmp_path / "records.db")) as connection:
        migrate(connection)
        yield connection


def sizes(connection: sqlite3.Connection) -> list[int]:
    return [size for (size,) in connection.execute("SELECT length(data) FROM bodies ORDER BY n")]


def test_bodies_come_back_whole(connection: sqlite3.Connection) -> None:
    writer = BodyWriter(connection)
    bodies = [body(name) for name in ("Ada", "Zoë", "Grace", "Linus", "Alan", "Joan", "Mary")]
    writer.write([(1, 1, body("alone"))])
    writer.write([(10 + n, 1, each) for n, each in enumerate(bodies)])
    writer.write([(30, 2, Body())])
    assert [writer.read(10 + n) for n in range(7)] == bodies
    assert (writer.read(1), writer.read(30)) == (body("alone"), Body())
    assert unpack_body(*connection.execute(SELECT, (12,)).fetchone()) == bodies[2]
    plain, *packed, _ = sizes(connection)
    assert max(packed) < plain / 2


def test_dictionary_is_used_by_the_next_process(connection: sqlite3.Connection) -> None:
    BodyWriter(connection).write([(n, 1, body(f"name{n}")) for n in range(6)])
    BodyWriter(connection).write([(6, 1, body("later"))])
    assert connection.execute("SELECT count(*), count(DISTINCT dictionary) FROM bodies").fetchone() == (7, 1)
    assert BodyWriter(connection).read(6) == body("later")


def test_dictionary_that_was_rolled_back_is_made_again(connection: sqlite3.Connection) -> None:
    writer = BodyWriter(connection)
    items = [(n, 1, body(f"name{n}")) for n in range(6)]
    connection.execute("BEGIN IMMEDIATE")
    writer.write(items)
    connection.execute("ROLLBACK")
    writer.forget()
    writer.write(items)
    assert writer.read(3) == body("name3")


def test_dictionary_has_nothing_of_one_person() -> None:
    texts = [TEMPLATE.format(name) + f"Dear {name}@example.com" for name in ("Ada", "Grace", "Linus")]
    pieces = shared_pieces(texts).decode()
    assert "on its way" in pieces
    for name in ("Ada", "Grace", "Linus", "example.com"):
        assert name not in pieces
