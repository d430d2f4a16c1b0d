"""How places in S3 are written: `s3://bucket/key`. No network and no library: intake uses it too."""

from __future__ import annotations

import re
from collections.abc import Iterable

from morpheus_kit.errors import InvalidInputError

SCHEME = "s3://"
# One spelling a file: pinned versions are found by path.
REFUSED_PARTS = frozenset({"", ".", ".."})
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def split_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix`, the address of a store. ValueError when it is not one."""
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    prefix = prefix.removesuffix("/")
    if not url.startswith(SCHEME) or not _BUCKET.fullmatch(bucket) or (prefix and not is_plain(prefix)):
        msg = f"{url}: a template store in S3 is written s3://bucket or s3://bucket/prefix"
        raise ValueError(msg)
    return bucket, prefix


def split_path(path: str, buckets: frozenset[str]) -> tuple[str, str]:
    """Bucket and key of a path `s3://bucket/key`. InvalidInputError when it is not one, or not one of `buckets`."""
    bucket, _, key = path.removeprefix(SCHEME).partition("/")
    if not path.startswith(SCHEME) or not is_plain(key):
        raise InvalidInputError.of("path", f"{path!r} is not written s3://bucket/key, without `..`")
    if bucket not in buckets:
        raise InvalidInputError.of("path", f"{path!r} is in a bucket that is not configured here")
    return bucket, key


def is_plain(path: str) -> bool:
    """Whether `path` has one spelling only: parts between single slashes, none of them `.` or `..`."""
    return not any(char in "\\\0" for char in path) and REFUSED_PARTS.isdisjoint(path.split("/"))


def known_buckets(templates_url: str, listed: Iterable[str]) -> frozenset[str]:
    """The bucket of the store, where it is in S3, and those that are `listed`. ValueError as for `split_url`."""
    default = [split_url(templates_url)[0]] if templates_url.startswith(SCHEME) else []
    return frozenset([*default, *listed])


def check_buckets(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same names. ValueError when one cannot be a bucket's."""
    for name in names:
        if not _BUCKET.fullmatch(name):
            msg = f"{name!r} is not the name of a bucket"
            raise ValueError(msg)
    return names
