"""Where templates, attachments and what PDFs show are kept: one protocol, one file per kind of store."""

from __future__ import annotations

from collections.abc import Sequence

from morpheus_kit.blobs import addresses
from morpheus_kit.blobs.base import Blob, TemplateStore
from morpheus_kit.blobs.local import FolderStore
from morpheus_kit.blobs.pair import StorePair

__all__ = ["Blob", "FolderStore", "TemplateStore", "check_url", "open_store"]


def check_url(url: str) -> str:
    """The same address. ValueError when nothing here can open it; the text says what can."""
    if url.startswith("file://"):
        FolderStore.from_url(url)
    elif url.startswith(addresses.SCHEME):
        addresses.split_url(url)
    else:
        msg = f"{url}: only file:// and s3:// template stores can be opened"
        raise ValueError(msg)
    return url


def open_store(url: str, *, buckets: Sequence[str] = (), endpoint_url: str = "") -> TemplateStore:
    """The store that `url` names: `file:///folder` or `s3://bucket/prefix`.

    `buckets` are further ones that paths `s3://bucket/key` may name; `endpoint_url` is where S3 is, if not at Amazon.

    Raises:
        ValueError: see `check_url`.
    """
    check_url(url)
    known = addresses.known_buckets(url, buckets)
    if not known:
        return FolderStore.from_url(url)
    # Half a second and 30 MB that only S3 needs.
    from morpheus_kit.blobs.s3 import S3Settings, S3Store  # noqa: PLC0415  botocore is slow to import

    if url.startswith(addresses.SCHEME):
        return S3Store(S3Settings(*addresses.split_url(url), known, endpoint_url))
    return StorePair(FolderStore.from_url(url), S3Store(S3Settings("", "", known, endpoint_url)))
