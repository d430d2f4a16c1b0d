"""Where templates, attachments and what PDFs show are kept: one protocol, one file per kind of store."""

from __future__ import annotations

from morpheus_kit.blobs.base import Blob, TemplateStore
from morpheus_kit.blobs.local import FolderStore

__all__ = ["Blob", "FolderStore", "TemplateStore", "open_store"]


def open_store(url: str) -> TemplateStore:
    """The store that `url` names: `file:///folder`.

    Raises:
        ValueError: nothing here can open it; the text says what can.
    """
    if url.startswith("file://"):
        return FolderStore.from_url(url)
    msg = f"{url}: only file:// template stores can be opened"
    raise ValueError(msg)
