"""Streams: what a person can unsubscribe from, and which groups have links to do so."""

from __future__ import annotations

import re
from typing import Final

from morpheus.intake.v1.intake_pb2 import GroupHeader

from services.intake.violations import Violations

TRANSACTIONAL: Final = "transactional"
_NAME = re.compile(r"[a-z0-9-]{1,32}")


def stream_of(header: GroupHeader) -> str:
    """The stream's name."""
    return header.stream if header.HasField("stream") else TRANSACTIONAL


def has_link(header: GroupHeader) -> bool:
    """Whether its messages have an unsubscribe link."""
    return header.unsubscribe if header.HasField("unsubscribe") else stream_of(header) != TRANSACTIONAL


def check_stream(header: GroupHeader, public_url: str, violations: Violations) -> None:
    """Its name; and that a link can be made where there must be one."""
    if not _NAME.fullmatch(stream_of(header)):
        violations.add("stream", "1 to 32 of a-z0-9- are required")
    elif has_link(header) and not public_url:
        violations.add("unsubscribe", "needs MORPHEUS_PUBLIC_URL, which is not set here; false goes without links")
