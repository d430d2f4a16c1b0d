"""The PDFs of one slice: each document made once a pod, failures named."""

from __future__ import annotations

from types import ModuleType

from morpheus_kit.reasons import ReasonCode
from services.renderer.attachments import StoredFiles
from services.renderer.failures import RenderError
from services.renderer.frames import LOADING, Progress
from services.renderer.pdf_cache import MadePdf, SharedPdfs
from services.renderer.settings import RenderSettings


class SlicePdfs:
    """PDFs from literal HTML. `progress` learns of the slow first load."""

    def __init__(self, files: StoredFiles, progress: Progress, shared: SharedPdfs, settings: RenderSettings) -> None:
        self._files = files
        self._progress = progress
        self._shared = shared
        self._settings = settings

    def get(self, name: str, html: str) -> bytes:
        """RenderError names the PDF."""
        key = self._shared.key(html)
        content = self._made(key)
        if content is not None:
            return content
        position, _ = self._progress.read()
        with self._shared.alone(key):
            self._progress.begin(position)  # waiting for another worker was not this message's time
            content = self._made(key)
            return content if content is not None else self._make(name, html, key)

    def _made(self, key: str) -> bytes | None:
        """A PDF that another message or slice had, when all that it shows is as it was."""
        made = self._shared.get(key)
        if made is None or any(self._files.digest(path) != digest for path, digest in made.shown.items()):
            return None
        return made.content

    def _make(self, name: str, html: str, key: str) -> bytes:
        try:
            content, paths = self._weasy().write_pdf(html, self._files, self._settings.pdf_pages)
            self._check_size(content)
            self._shared.put(key, MadePdf(content, {path: self._files.digest(path) for path in paths}))
            return bytes(content)
        except RenderError as exc:
            reason = exc.text
        except MemoryError:
            reason = "it needs too much memory"
        except Exception as exc:  # noqa: BLE001  whatever a document can raise concerns its message only
            reason = f"{type(exc).__name__}: {str(exc)[:200]}"
        raise RenderError(ReasonCode.PDF_FAILED, f"PDF {name!r}: {reason}")

    def _check_size(self, content: bytes) -> None:
        if len(content) > self._settings.pdf_bytes:
            text = f"it has {len(content)} bytes, more than {self._settings.pdf_bytes}"
            raise RenderError(ReasonCode.PDF_FAILED, text)

    def _weasy(self) -> ModuleType:
        position, _ = self._progress.read()
        self._progress.begin(LOADING)
        try:
            from services.renderer import weasy  # noqa: PLC0415  40 MB and a second that only PDFs need
        except (ImportError, OSError) as exc:
            raise RenderError(ReasonCode.PDF_FAILED, f"a library that PDFs need is missing: {exc}") from exc
        self._progress.begin(position)
        return weasy
