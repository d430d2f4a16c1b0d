"""The tables of the SQLite store, and how a connection is set up."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from uuid import UUID

import msgspec

from services.tracker.documents import Head, place_of
from services.tracker.store.sqlite_rollups import count_all

VERSION = 4

# A group without `shared` is one whose record has not come yet: no question sees it or its messages.
# A message without `company` is one of which only events are known. `notable` is the state where
# messages in it are few, so that its index stays small. `words` keeps no text and no positions;
# its rowid is the message's `n`, as is that of `bodies`. `place` decides between messages of one
# time (`documents.place_of`); it begins with the group, so that a batch stays together in an index.
TABLES = """
CREATE TABLE groups (
    n INTEGER PRIMARY KEY,
    company TEXT NOT NULL,
    group_id TEXT NOT NULL,
    uuid BLOB NOT NULL,
    method TEXT,
    stream TEXT,
    accepted_ms INTEGER,
    shared BLOB,
    settled INTEGER NOT NULL DEFAULT 0,
    settled_ms INTEGER NOT NULL DEFAULT 0,
    versions_ms INTEGER NOT NULL DEFAULT 0,
    versions BLOB,
    UNIQUE (company, group_id)
);
CREATE INDEX groups_listed ON groups (company, accepted_ms, uuid) WHERE shared IS NOT NULL;
CREATE INDEX groups_named ON groups (group_id);
CREATE TABLE parts (
    group_n INTEGER NOT NULL,
    part INTEGER NOT NULL,
    total INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    PRIMARY KEY (group_n, part)
) WITHOUT ROWID;
CREATE TABLE operations (
    group_n INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    type TEXT NOT NULL,
    key_id TEXT NOT NULL,
    reason_code TEXT NOT NULL,
    reason_text TEXT NOT NULL,
    PRIMARY KEY (group_n, time_ms, type, key_id)
) WITHOUT ROWID;
CREATE TABLE group_tags (tag TEXT NOT NULL, group_n INTEGER NOT NULL, PRIMARY KEY (tag, group_n)) WITHOUT ROWID;
CREATE TABLE counts (
    group_n INTEGER NOT NULL,
    state TEXT NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (group_n, state)
) WITHOUT ROWID;
CREATE TABLE pace (
    second INTEGER NOT NULL,
    group_n INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (second, group_n)
) WITHOUT ROWID;
CREATE TABLE messages (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    company TEXT,
    group_n INTEGER,
    accepted_ms INTEGER,
    state TEXT NOT NULL,
    notable TEXT,
    reason TEXT,
    settled_ms INTEGER NOT NULL,
    address TEXT,
    external_id TEXT,
    head BLOB NOT NULL,
    place BLOB
);
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE INDEX messages_address ON messages (address) WHERE address IS NOT NULL;
CREATE INDEX messages_external ON messages (external_id) WHERE external_id IS NOT NULL;
CREATE TABLE tags (tag TEXT NOT NULL, message_n INTEGER NOT NULL, PRIMARY KEY (tag, message_n)) WITHOUT ROWID;
CREATE TABLE bodies (n INTEGER PRIMARY KEY, dictionary INTEGER, data BLOB NOT NULL);
CREATE TABLE dictionaries (n INTEGER PRIMARY KEY, group_n INTEGER NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, detail=none, tokenize='ascii');
"""

# A row counts messages that share all of its key; `reached` has one bit a milestone. Rows without a tag and rows of
# tags lie apart, each by the hour: nearly every message may have a tag of its own, and a question reads only its hours.
ROLLUPS = """
CREATE TABLE rollups (
    company TEXT NOT NULL,
    tagged INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    tag TEXT NOT NULL,
    method TEXT NOT NULL,
    state TEXT NOT NULL,
    reached INTEGER NOT NULL,
    currency TEXT NOT NULL,
    messages INTEGER NOT NULL,
    cost_micros INTEGER NOT NULL,
    PRIMARY KEY (company, tagged, hour, tag, method, state, reached, currency)
) WITHOUT ROWID;
"""

# What else came with version 2. A row of `feed` is a block of changes whose last one has this number; numbers are never
# given again. Of a suppressed address the hash is kept for ever, the address until the person is erased.
ADDED_2 = """
CREATE TABLE feed (
    last_seq INTEGER PRIMARY KEY AUTOINCREMENT,
    company TEXT NOT NULL,
    recorded_ms INTEGER NOT NULL,
    items BLOB NOT NULL
);
CREATE INDEX feed_of_company ON feed (company, last_seq);
CREATE INDEX messages_listed ON messages (company, accepted_ms, place, group_n) WHERE company IS NOT NULL;
CREATE INDEX messages_of_group ON messages (group_n, accepted_ms, place) WHERE group_n IS NOT NULL;
CREATE INDEX messages_notable ON messages (notable, company, accepted_ms, place) WHERE notable IS NOT NULL;
CREATE INDEX messages_reason ON messages (reason, company, accepted_ms, place) WHERE reason IS NOT NULL;
CREATE TABLE suppressions (
    company TEXT NOT NULL,
    stream TEXT NOT NULL,
    recipient BLOB NOT NULL,
    reason TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    address TEXT,
    PRIMARY KEY (company, stream, recipient)
) WITHOUT ROWID;
CREATE INDEX suppressions_listed ON suppressions (company, time_ms, stream, recipient);
"""

# What came with version 3: when a person was erased, by the keyed hash of the address.
ADDED_3 = """
CREATE TABLE erasures (
    company TEXT NOT NULL,
    recipient BLOB NOT NULL,
    time_ms INTEGER NOT NULL,
    PRIMARY KEY (company, recipient)
) WITHOUT ROWID;
"""

# What a file of version 1 lacks: the order that all stores share, and the versions of templates.
FROM_1 = """
ALTER TABLE groups ADD COLUMN versions_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN versions BLOB;
ALTER TABLE messages ADD COLUMN place BLOB;
UPDATE messages SET place = place_of((SELECT uuid FROM groups g WHERE g.n = group_n), id, head)
    WHERE group_n IS NOT NULL;
DROP INDEX messages_listed; DROP INDEX messages_of_group; DROP INDEX messages_notable; DROP INDEX messages_reason;
"""

# Until version 3 rows of `rollups` lay by the tag; they are counted anew.
FROM_3 = f"DROP TABLE rollups; {ROLLUPS}"

# What the planner is told, whatever the tables hold: rows, then rows for each prefix of the index. So the
# plan of a question does not depend on when statistics were last taken.
STATISTICS = """
ANALYZE;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 VALUES
    ('groups', 'groups_listed', '1000 500 2 1'),
    ('groups', 'groups_named', '1000 1'),
    ('groups', 'sqlite_autoindex_groups_1', '1000 500 1'),
    ('messages', 'messages_id', '1000000 1'),
    ('messages', 'messages_listed', '1000000 500000 1000 1 1'),
    ('messages', 'messages_of_group', '1000000 2000 1000 1'),
    ('messages', 'messages_notable', '20000 5000 2000 20 1'),
    ('messages', 'messages_reason', '20000 5000 2000 20 1'),
    ('messages', 'messages_address', '1000000 5'),
    ('messages', 'messages_external', '1000000 1'),
    ('tags', 'tags', '1000000 5000 1'),
    ('rollups', 'rollups', '1000000 300000 150000 1000 5 4 3 2 1'),
    ('feed', 'feed_of_company', '10000 5000 1'),
    ('group_tags', 'group_tags', '2000 50 1');
"""

_head = msgspec.msgpack.Decoder(Head)
COMMON_STATES = frozenset(["sent", "delivered"])


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes: transactions by hand, on the disk at commit."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
        "PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000; PRAGMA secure_delete = FAST;"
    )
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; WAL lets it read while the writer writes."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.executescript(
        "PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;"
        "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, words, row); PRAGMA query_only = ON;"
    )
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the tables up to `VERSION`. ValueError when they are newer than this release."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise ValueError(f"The records were written by a newer release (schema {version}, this one knows {VERSION}).")
    if version == VERSION:
        return
    connection.create_function("place_of", 3, _place_of_row, deterministic=True)
    steps = {
        0: TABLES + ROLLUPS + ADDED_2 + ADDED_3,
        1: FROM_1 + ROLLUPS + ADDED_2 + ADDED_3,
        2: FROM_3 + ADDED_3,
        3: FROM_3,
    }[version]
    connection.executescript(f"BEGIN IMMEDIATE; {steps} {STATISTICS}")
    count_all(connection)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _place_of_row(group_uuid: bytes, message_id: bytes, head: bytes) -> bytes:
    known = _head.decode(head)
    reference = f"{group_uuid.hex()[:8]}-{UUID(bytes=message_id)}"
    return bytes.fromhex(place_of(reference, known.part, known.index))
