"""Query parameters that several routes share."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec
from fastapi import Query
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Meta

from morpheus_kit.errors import InvalidInputError

PageSize = Annotated[int, Query(ge=1, le=200, description="Items of a page.")]
PageToken = Annotated[str, Query(max_length=4096, description="`next_page_token` of the page before.")]
TimeParameter: TypeAlias = str | None
_TIME_DIGITS = len("2026-01-01T00:00:00")


def timestamp(name: str, text: str | None) -> Timestamp | None:
    """An RFC 3339 time with its zone. InvalidInputError."""
    if not text:
        return None
    # A `+` that was not escaped in the URL arrives as a space.
    text = text[:_TIME_DIGITS] + text[_TIME_DIGITS:].replace(" ", "+")
    try:
        moment = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError as exc:
        raise InvalidInputError.of(name, "an RFC 3339 time with its zone is required") from exc
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
