"""The PDFs of one slice: made once each, failures named."""

from __future__ import annotations

import hashlib
from types import ModuleType

from morpheus_kit.reasons import ReasonCode
from services.renderer.attachments import StoredFiles
from services.renderer.failures import RenderError
from services.renderer.frames import LOADING, Progress

MOST_KEPT_BYTES = 32 * 1024 * 1024


class SlicePdfs:
    """PDFs from literal HTML; the same HTML is made once a slice. `progress` learns of the slow first load."""

    def __init__(self, files: StoredFiles, progress: Progress) -> None:
        self._files = files
        self._progress = progress
        self._made: dict[bytes, bytes] = {}
        self._bytes = 0

    def get(self, name: str, html: str) -> bytes:
        """RenderError names the PDF."""
        key = hashlib.sha256(html.encode()).digest()
        content = self._made.get(key)
        if content is not None:
            return content
        content = self._make(name, html)
        if self._bytes + len(content) <= MOST_KEPT_BYTES:
            self._made[key] = content
            self._bytes += len(content)
        return content

    def _make(self, name: str, html: str) -> bytes:
        try:
            content: bytes = self._weasy().write_pdf(html, self._files)
            return content  # noqa: TRY300  the except branches tell why there is none
        except RenderError as exc:
            reason = exc.text
        except MemoryError:
            reason = "it needs too much memory"
        except Exception as exc:  # noqa: BLE001  whatever a document can raise concerns its message only
            reason = f"{type(exc).__name__}: {str(exc)[:200]}"
        raise RenderError(ReasonCode.PDF_FAILED, f"PDF {name!r}: {reason}")

    def _weasy(self) -> ModuleType:
        position, _ = self._progress.read()
        self._progress.begin(LOADING)
        try:
            from services.renderer import weasy  # noqa: PLC0415  40 MB and a second that only PDFs need
        except (ImportError, OSError) as exc:
            raise RenderError(ReasonCode.PDF_FAILED, f"a library that PDFs need is missing: {exc}") from exc
        self._progress.begin(position)
        return weasy
