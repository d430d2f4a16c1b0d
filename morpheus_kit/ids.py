"""Every id of ours: a pure function of what it names, so that a repeated step finds it again."""

from __future__ import annotations

import os
import re
import secrets
import socket
import zlib
from functools import lru_cache
from hashlib import sha1
from typing import NamedTuple
from uuid import UUID, uuid5

NAMESPACE = UUID("d9dc1902-922c-5f6f-9e95-4746ad0b9453")
_NAMESPACE_BYTES = NAMESPACE.bytes
_UUID_CHARS = 36
_MESSAGE = re.compile("-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _uuid5(name: str) -> str:
    """Same as `str(uuid5(NAMESPACE, name))`, four times faster: it is called per message."""
    digest = bytearray(sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def message_id(company_code: str, group_id: str, part: int, index: int) -> str:
    """The message at `index` of `part`: a UUID that a client can compute before it posts."""
    return _uuid5(f"{company_code}/{group_id}/{part}/{index}")


@lru_cache(maxsize=4096)
def group_uuid(company_code: str, group_id: str) -> str:
    """The id of a group's document."""
    return _uuid5(f"{company_code}/{group_id}")


def repeat_group_id(company_code: str, source: str, idempotency_key: str) -> str:
    """The group of messages that are sent again: one for each key; `source` says what of."""
    return f"resend-{_uuid5(f'{company_code}/{source}/{idempotency_key}').replace('-', '')}"


def group_key(company_code: str, group_id: str) -> str:
    """8 hex digits: the routing of a group's documents."""
    return group_uuid(company_code, group_id)[:8]


def event_id(message: str, source: str, type_: str, discriminator: str) -> str:
    """The id of an event: `us/<type>/<attempt>` or `<provider>/<type>/<time>/<url or other>`."""
    return str(uuid5(UUID(message), f"{source}/{type_}/{discriminator}"))


def partition_of(company_code: str, partitions: int) -> int:
    """The partition that holds everything of a company."""
    return zlib.crc32(company_code.encode()) % partitions


def reference_prefix(month: str, partition: int, company_code: str, group_id: str) -> str:
    """What all message references of a group begin with; `month` is `YYYYMM`."""
    return f"{month}-{partition:03d}-{group_key(company_code, group_id)}"


class Prefix(NamedTuple):
    """What all references of a group begin with."""

    month: str
    partition: int
    group_key: str


class Reference(NamedTuple):
    """The parts of a message reference."""

    month: str
    partition: int
    group_key: str
    message_id: str


def parse_reference(text: str) -> Reference:
    """Splits a message reference. ValueError when it is none."""
    prefix, message = parse_prefix(text[: -_UUID_CHARS - 1]), text[-_UUID_CHARS - 1 :]
    if not _MESSAGE.fullmatch(message):
        msg = "not a message reference"
        raise ValueError(msg)
    return Reference(*prefix, message[1:].lower())


@lru_cache(maxsize=4096)
def parse_prefix(text: str) -> Prefix:
    """Splits what a reference begins with. ValueError when it is none."""
    month, partition, key = text.split("-")
    if len(month) != 6 or len(key) != 8:
        msg = "not the prefix of message references"
        raise ValueError(msg)
    return Prefix(month, int(partition), key)


def consumer_name() -> str:
    """A name for this process in consumer groups: `<host>-<pid>-<8 hex>`."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
