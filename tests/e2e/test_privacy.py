"""What is kept of people, looked for in every store of a running stack, byte by byte."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgpack
import pytest
import redis
import zstandard

from benchmarks import sample
from benchmarks.stack import Stack
from services.tracker.store.bodies import SELECT, unpack_body

pytestmark = pytest.mark.timeout(180)

INNER = "<p>Your code is {{ code }}, {{ first_name }}.</p>{% if bad %}{{ code | number }}{% endif %}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests of this file."""
    with Stack(tmp_path_factory.mktemp("privacy"), {"MORPHEUS_LEASE": "3"}) as running:
        (running.home / "templates" / "code.html").write_text(INNER)
        yield running


def test_contents_that_are_withheld_are_nowhere_once_the_group_has_finished(stack: Stack) -> None:
    stack.suppress("gone@example.org")
    _post(stack, "kept", "kepttoken1")
    _post(stack, "no-body", "bodytoken2", record="no_body")
    _post(stack, "redacted", "redacttoken3", redact=["code"])
    groups = {name: stack.wait_finished(name, 60) for name in ("kept", "no-body", "redacted")}

    assert _places(stack, "kepttoken1") == {"records", "words", "queue", "outbox"}
    assert _places(stack, "bodytoken2") == {"outbox"}
    assert _places(stack, "redacttoken3") == {"outbox"}

    assert [group["counts"]["rejected"] for group in groups.values()] == [3, 3, 3]
    assert (groups["no-body"]["context"], groups["redacted"]["context"]) == ({}, {"brand": "B"})
    assert (groups["no-body"]["record"], groups["redacted"]["redact"]) == ("no_body", ["code"])
    (message,) = stack.get("/v1/messages", group_id="redacted", address="ada@example.org")["items"]
    assert stack.resend(message["id"])[0] == 409
    detail = stack.message(message["id"])
    assert (detail["html"], detail["text"], detail["subject"]) == ("", "", "")
    assert detail["context"] == {"plan": "P", "bad": False}
    assert stack.operate("redacted", "retry")[0] == 409


def test_an_erased_person_is_nowhere_and_is_sent_nothing(stack: Stack) -> None:
    name = "zarathustra"
    person, other = f"{name}@example.org", "other@example.org"
    _post_people(stack, "past", [person, other, f"{name}@simulator.example.com"])
    stack.wait_finished("past", 60)
    stack.suppress(person)
    _post_people(stack, "waiting", [other, person], send_at=time.time() + 3600)
    assert _places(stack, name) == {"records", "words", "queue", "outbox"}
    ids = {item["address"]: item["id"] for item in stack.get("/v1/messages", group_id="past")["items"]}
    before = stack.group("past")["counts"]

    erased = {"records": 1, "outbox": 1, "queue": 1, "later": 0, "dead_letters": 0, "suppressions": 1}
    assert stack.erase(person.upper()) == (200, {"erased": erased})
    assert stack.erase(f"{name}@simulator.example.com")[1]["erased"]["records"] == 1

    deadline = time.monotonic() + 20
    while not (waiting := stack.group("waiting"))["counts"]["cancelled"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (waiting["total"], waiting["progress"]["waiting"], waiting["counts"]["cancelled"]) == (2, 1, 1)
    while any(stack.erase(person)[1]["erased"].values()):  # what waited may be recorded only just now
        assert time.monotonic() < deadline
    assert _places(stack, name) == set()
    assert [item["address"] for item in stack.get("/v1/messages")["items"] if item["group_id"] == "past"] == [other]
    with pytest.raises(RuntimeError, match="404"):
        stack.message(ids[person])
    assert stack.group("past")["counts"] == before
    assert stack.get("/v1/suppressions")["items"][0]["address"] is None

    _post_people(stack, "afterwards", [person])
    counts = stack.wait_finished("afterwards", 60)["counts"]
    assert counts["rejected"] == 1  # the hash of a suppressed address stays


def _post_people(stack: Stack, group_id: str, addresses: list[str], **more: Any) -> None:
    recipients = [
        {**sample.recipient(index), "address": each, "first_name": each.partition("@")[0]}
        for index, each in enumerate(addresses)
    ]
    if "send_at" in more:
        more["send_at"] = msgpack.Timestamp.from_unix(more["send_at"])
    status, reply, _ = stack.post(msgpack.packb({**sample.group(group_id, 0), "recipients": recipients, **more}))
    assert status == 202, reply


def _post(stack: Stack, group_id: str, token: str, **more: Any) -> None:
    """Sent, clicked, tried again, of an impossible address, to a suppressed one, and one that cannot be rendered."""
    people = ("ada", "clicked@simulator", "throttled@simulator", "no at sign", "gone", "bad")
    addresses = [
        name if " " in name else f"{name}{'.example.com' if '@' in name else '@example.org'}" for name in people
    ]
    group = {
        **sample.group(group_id, 0),
        "outer_template": "bench/outer.html",
        "inner_template": "code.html",
        "subject_template": "Code {{ code }}",
        "context": {"brand": "B", "code": f"shared{token}"},
        "recipients": [
            {"address": each, "first_name": "Ada", "context": {"code": token, "plan": "P", "bad": each[:3] == "bad"}}
            for each in addresses
        ],
        **more,
    }
    status, reply, _ = stack.post(msgpack.packb(group))
    assert status == 202, reply


def _places(stack: Stack, token: str) -> set[str]:
    """Where a word is kept: tables and bytes of the record store, its search index, keys of the queue, outbox, logs."""
    found = set()
    wanted = token.encode()
    with closing(sqlite3.connect(f"file:{stack.home / 'records.db'}?mode=ro", uri=True)) as db:
        if any(wanted in value for value in _values(db)):
            found.add("records")
        if db.execute("SELECT 1 FROM words WHERE words MATCH ?", (f"{token}*",)).fetchone():
            found.add("words")
    with redis.Redis(unix_socket_path=str(stack.home / "redis" / "valkey.sock")) as queue:
        if any(wanted in _content(queue, key) or wanted in key for key in queue.scan_iter(count=1000)):
            found.add("queue")
    if any(wanted in path.read_bytes() for path in stack.home.glob("records.db*")):
        found.add("records")
    if any(wanted in path.read_bytes() for path in (stack.home / "outbox").glob("*.eml")):
        found.add("outbox")
    logs = [stack.home / "stack.log", stack.home / "outbox" / "calls.jsonl"]
    if any(wanted in path.read_bytes() for path in logs):
        found.add("logs")
    return found


def _values(db: sqlite3.Connection) -> Iterator[bytes]:
    """Every value of every table, and what was packed into it."""
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%fts5%'"):
        for row in db.execute(f"SELECT * FROM {name}"):
            for value in row:
                raw = value if isinstance(value, bytes) else str(value).encode()
                yield raw
                yield _unpacked(raw)
    for (n,) in db.execute("SELECT n FROM bodies").fetchall():
        body = unpack_body(*db.execute(SELECT, (n,)).fetchone())
        yield body.blob + body.html.encode() + body.text.encode()


def _unpacked(raw: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(raw, max_output_size=2**24)
    except zstandard.ZstdError:
        return b""


def _content(queue: Any, key: bytes) -> bytes:
    """All that lies under a key, packed entries unpacked too."""
    kind = queue.type(key)
    read: dict[bytes, Any] = {
        b"string": lambda: [queue.get(key)],
        b"hash": lambda: [item for pair in queue.hgetall(key).items() for item in pair],
        b"list": lambda: queue.lrange(key, 0, -1),
        b"set": lambda: queue.smembers(key),
        b"zset": lambda: queue.zrange(key, 0, -1),
        b"stream": lambda: [item for _, fields in queue.xrange(key) for pair in fields.items() for item in pair],
    }
    items = read[kind]()
    return b"\n".join([*items, *map(_unpacked, items)])
