"""The index template of the Elasticsearch store: which fields a document may have, and how each is kept.

A field that is new in a release is added here and nowhere else: the template and the live indices get it
before the first write.
"""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = 3

_LONGEST_TERM: Final = 8191
"""In characters; Lucene refuses a term of more than 32,766 bytes. A longer value is kept but not found."""

KEYWORD: Final = {"type": "keyword", "ignore_above": _LONGEST_TERM}
KEPT: Final = {"type": "keyword", "index": False, "doc_values": False, "ignore_above": _LONGEST_TERM}
SORTED: Final = {"type": "keyword", "index": False}
DATE: Final = {"type": "date", "format": "epoch_millis"}
LONG: Final = {"type": "long"}
KEPT_LONG: Final = {"type": "long", "index": False, "doc_values": False}
BINARY: Final = {"type": "binary"}
OBJECT: Final = {"type": "object", "enabled": False}
WORDS: Final = {
    "type": "text",
    "analyzer": "whitespace",
    "index_options": "docs",
    "norms": False,
    "index_prefixes": {"min_chars": 1, "max_chars": 4},
}

MILESTONES: Final = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")

PROPERTIES: Final[dict[str, dict[str, Any]]] = {
    # Of both kinds of document. Without `company_code` no question sees it.
    "relation": {"type": "join", "relations": {"group": "message"}},
    "company_code": KEYWORD,
    "group_id": KEYWORD,
    "method": KEYWORD,
    "stream": KEYWORD,
    "tags": KEYWORD,
    "accepted_at": DATE,
    "place": SORTED,
    "template_versions": OBJECT,
    # Of a group.
    "shared": BINARY,
    "parts": OBJECT,
    "operations": OBJECT,
    "has_orphans": {"type": "boolean"},
    # Of a message: its record.
    "record": KEPT_LONG,
    "record_error": KEPT,
    "owner": KEPT,
    "part": KEPT_LONG,
    "index": KEPT_LONG,
    "address": KEPT,
    "address_normalised": KEYWORD,
    "first_name": KEPT,
    "last_name": KEPT,
    "user_link": KEPT,
    "subject": KEPT,
    "recipient_tags": KEPT,
    "input": BINARY,
    "body": BINARY,
    "words": WORDS,
    "withheld": {"type": "boolean", "index": False, "doc_values": False},
    # Of a message whose person was erased: only counted. Its company, which it has before its group is known.
    "erased": {"type": "boolean"},
    "of_company": KEYWORD,
    # Of a message: the fold over its events.
    "fold": BINARY,
    "tally": SORTED,
    "state": KEYWORD,
    "bounce_type": KEYWORD,
    "reason": KEYWORD,
    "reason_text": KEPT,
    "next_try_at": DATE,
    "provider": KEYWORD,
    "external_id": KEYWORD,
    "response": KEPT,
    "cost_micros": LONG,
    "cost_currency": KEYWORD,
    "segments": LONG,
    "attempts": LONG,
    "settled_at": DATE,
    **{f"{name}_at": DATE for name in MILESTONES},
}

MAPPINGS: Final[dict[str, Any]] = {
    "dynamic": "strict",
    "_routing": {"required": True},
    "properties": PROPERTIES,
}


def template(prefix: str, shards: int, replicas: int) -> dict[str, Any]:
    """The body of the index template for `<prefix>-YYYY-MM`; an index exists only when it was made on purpose."""
    return {
        "index_patterns": [pattern(prefix)],
        "priority": 200,
        "version": VERSION,
        "allow_auto_create": False,
        "template": {
            "settings": {
                "number_of_shards": shards,
                "number_of_replicas": replicas,
                "refresh_interval": "1s",
                "codec": "best_compression",
            },
            "mappings": MAPPINGS,
        },
    }


def feed_template(prefix: str, replicas: int) -> dict[str, Any]:
    """The body of the index template for the weeks of the feed, `<prefix>-events-YYYY.WW`: one shard, so one order."""
    return {
        "index_patterns": [f"{feed_prefix(prefix)}*"],
        "priority": 200,
        "version": VERSION,
        "allow_auto_create": False,
        "template": {
            "settings": {"number_of_shards": 1, "number_of_replicas": replicas},
            "mappings": {
                "dynamic": "strict",
                "properties": {"company_code": KEYWORD, "recorded_at": DATE, "items": BINARY},
            },
        },
    }


def feed_prefix(prefix: str) -> str:
    """How the names of the feed's indices begin."""
    return f"{prefix}-events-"


def pattern(prefix: str) -> str:
    """All monthly indices, and nothing else that begins with the prefix."""
    return f"{prefix}-2*"


def index_of(prefix: str, month: str) -> str:
    """`morpheus-2026-06` of `202606`."""
    return f"{prefix}-{month[:4]}-{month[4:]}"


def month_of_index(prefix: str, index: str) -> str:
    """`202606` of `morpheus-2026-06`."""
    return index.removeprefix(f"{prefix}-").replace("-", "")
