"""Paths inside the template store."""

from __future__ import annotations

from morpheus_kit.blobs.addresses import SCHEME, is_plain, split_path
from morpheus_kit.errors import InvalidInputError
from services.intake.violations import Violations

_MAX_CHARS = 1024
_MAX_NAME_CHARS = 255


def check_path(place: str, path: str, violations: Violations, *, buckets: frozenset[str]) -> None:
    """A relative path without `..`, or `s3://bucket/key` in one of `buckets`; `place` is the field that holds it."""
    if not path.strip():
        violations.add(place, "is required")
    elif len(path) > _MAX_CHARS:
        violations.add(place, f"at most {_MAX_CHARS} characters")
    elif any(char < " " or char in "\\\x7f" for char in path):
        violations.add(place, "must not hold a backslash or a control character")
    elif path.lower().startswith(SCHEME):
        _check_address(place, path, violations, buckets)
    elif path.startswith("/") or not is_plain(path):
        violations.add(place, "must be a path inside the template store, without `..`")


def _check_address(place: str, path: str, violations: Violations, buckets: frozenset[str]) -> None:
    try:
        split_path(path, buckets)
    except InvalidInputError as exc:
        violations.add(place, exc.violations[0].reason)


def check_file_name(place: str, name: str, violations: Violations) -> None:
    """The name of an attachment."""
    if not 1 <= len(name) <= _MAX_NAME_CHARS:
        violations.add(place, f"1 to {_MAX_NAME_CHARS} characters are required")
    elif any(char < " " or char in "/\\\x7f" for char in name):
        violations.add(place, "must not hold a slash, a backslash or a control character")
