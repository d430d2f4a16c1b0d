"""Requests to filters: what a caller may ask for, and what is refused with the field's name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp
from morpheus.tracker.v1 import tracker_pb2 as pb

from morpheus_kit.errors import InvalidInputError
from morpheus_kit.reasons import ReasonCode
from services.tracker.states import STATES
from services.tracker.store.base import EVERYONE, GroupFilter, MessageFilter
from services.tracker.words import split_words

METHODS = ("mandrill", "ses", "smtp", "email", "sms", "test")
_DEFAULT_PAGE, _LARGEST_PAGE = 50, 200
_MOST_WORDS = 50
_COMPANY = re.compile(r"[a-z0-9_-]{1,64}")
_STREAM = re.compile(r"[a-z0-9-]{1,32}")


def company_of(code: str) -> str:
    """Who asks. InvalidInputError when it is nobody."""
    if code != EVERYONE and not _COMPANY.fullmatch(code):
        raise InvalidInputError.of("company_code", "must be 1–64 of a-z0-9_-")
    return code


def stream_of(stream: str) -> str:
    """A stream's name, or nothing. InvalidInputError."""
    if stream and not _STREAM.fullmatch(stream):
        raise InvalidInputError.of("stream", "must be 1–32 of a-z0-9-")
    return stream


def page_size(size: int) -> int:
    """How many items; 0 means the default."""
    if not 0 <= size <= _LARGEST_PAGE:
        raise InvalidInputError.of("page_size", f"must be 1–{_LARGEST_PAGE}")
    return size or _DEFAULT_PAGE


def group_filter(request: pb.ListGroupsRequest) -> GroupFilter:
    """Of a list of groups."""
    _known("method", request.method, METHODS)
    return GroupFilter(request.tag, request.method, *time_range(request))


def message_filter(request: pb.ListMessagesRequest) -> MessageFilter:
    """Of a list of messages."""
    words = tuple(split_words(request.query))
    if request.query and not words:
        raise InvalidInputError.of("q", "must have a letter or a digit")
    if len(words) > _MOST_WORDS:
        raise InvalidInputError.of("q", f"must have {_MOST_WORDS} words or fewer")
    _known("state", request.state, STATES)
    _known("reason", request.reason, [code.value for code in ReasonCode])
    _known("method", request.method, METHODS)
    stream_of(request.stream)
    return MessageFilter(
        words,
        request.group_id,
        tuple(sorted(set(request.tags))),
        request.state,
        request.reason,
        request.method,
        request.stream,
        request.address,
        request.external_id,
        *time_range(request),
    )


def _known(path: str, value: str, allowed: Iterable[str]) -> None:
    if value and value not in allowed:
        raise InvalidInputError.of(path, f"must be one of {', '.join(allowed)}")


def time_range(
    request: pb.ListGroupsRequest | pb.ListMessagesRequest | pb.GetStatisticsRequest | pb.GetCostsRequest,
) -> tuple[int | None, int | None]:
    """Half-open, in milliseconds: rounding up keeps what is at or after `from` and before `to`."""
    start = _ceil_ms(getattr(request, "from")) if request.HasField("from") else None
    return start, _ceil_ms(request.to) if request.HasField("to") else None


def _ceil_ms(time: Timestamp) -> int:
    return time.seconds * 1000 + -(-time.nanos // 1_000_000)
