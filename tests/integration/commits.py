"""The commit of a part, as intake would make it."""

from __future__ import annotations

from morpheus_kit.queue.scripts import CommitPart


def commit_of(part: str, count: int, **more: object) -> CommitPart:
    """A commit of `count` staged messages; `more` are fields that matter to the test."""
    values: dict[str, object] = {
        "part": part,
        "group": part.rsplit("/", 1)[0],
        "request_id": "request",
        "count": count,
        "body_digest": "body",
        "shared_digest": "shared",
        "shared_blob": b"shared",
        "method": "test",
        "priority": "normal",
        "send_ms": 0,
        "expires_ms": 0,
        "parts": 0,
        "total": count,
        "rejected": 0,
        "reply": b"reply",
        "idem_ttl_s": 1000,
        "ref": "reference",
        "month": "202601",
    }
    return CommitPart(**(values | more))  # type: ignore[arg-type]  # a test names the field and gives its type
