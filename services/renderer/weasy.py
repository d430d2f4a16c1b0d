"""The only file that imports WeasyPrint. Loaded with a worker's first PDF: 40 MB and a second that only PDFs need."""

from __future__ import annotations

import contextlib
import logging
from typing import Any
from urllib.parse import unquote, urlsplit

from weasyprint import HTML
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

from morpheus_kit.blobs.addresses import SCHEME
from morpheus_kit.reasons import ReasonCode
from services.renderer.attachments import StoredFiles, content_type
from services.renderer.failures import RenderError

# Relative addresses resolve to below this one; it names no host, and nothing is ever asked of it.
BASE = "http://template-store.invalid/root/"
_OWN_FONTS = ("@font-face", "@import", "<link")
_shared_fonts = FontConfiguration()


def write_pdf(html: str, files: StoredFiles, most_pages: int) -> tuple[bytes, set[str]]:
    """One PDF, and the paths of what it shows. RenderError when anything of that cannot be had, or it is too long.

    WeasyPrint's own errors pass.
    """
    _problems.texts.clear()
    _pages.most = most_pages
    fetcher = StoreFetcher(files)
    content = b""
    # What stops a document passes as FatalURLFetchingError, but drawing an SVG swallows even that.
    with contextlib.suppress(FatalURLFetchingError):
        document = HTML(string=html, base_url=BASE, url_fetcher=fetcher).render(font_config=_fonts(html))
        check_pages(len(document.pages), most_pages)
        content = document.write_pdf()
    if fetcher.problem or _problems.texts:
        raise _failed((fetcher.problem or _problems.texts[0]).replace(BASE, ""))
    return content, fetcher.used


def check_pages(pages: int, most: int) -> None:
    """RenderError when there are more."""
    if pages > most:
        raise _failed(f"it has more than {most} pages")


def _fonts(html: str) -> FontConfiguration:
    """The shared ones, but its own for a document that may bring fonts: those must not reach other documents."""
    lower = html.lower()
    return FontConfiguration() if any(word in lower for word in _OWN_FONTS) else _shared_fonts


def store_path(url: str) -> str:
    """The path under the store that `url` means. RenderError for every other address."""
    if not url.startswith(BASE):
        raise _failed(f"{url[:200]} is neither data: nor a path inside the template store")
    path = unquote(urlsplit(url).path.removeprefix(urlsplit(BASE).path))
    if path.startswith(SCHEME):
        raise _failed(f"{path[:200]} is not a path inside the template store")
    return path


def _failed(text: str) -> RenderError:
    return RenderError(ReasonCode.PDF_FAILED, text)


class StoreFetcher(URLFetcher):  # type: ignore[misc]  # no types published
    """The only way out of a document: `data:` and the store. A resource that cannot be had ends the document."""

    def __init__(self, files: StoredFiles) -> None:
        super().__init__(allowed_protocols=("data",), fail_on_errors=True)
        self._files = files
        self.problem = ""
        self.used: set[str] = set()

    def fetch(self, url: str, headers: dict[str, str] | None = None) -> Any:
        """A response; what is raised is kept as `problem`."""
        try:
            return super().fetch(url, headers) if url[:5].lower() == "data:" else self._read(url)
        except RenderError as exc:
            self.problem = self.problem or exc.text
            raise
        except Exception as exc:
            self.problem = self.problem or f"{url[:60]}: {exc}"
            raise

    def _read(self, url: str) -> Any:
        path = store_path(url)
        self.used.add(path)
        found = self._files.get(path)
        if found.error:
            raise _failed(f"{path}: {found.error}")
        return URLFetcherResponse(url, found.content, {"Content-Type": content_type(path)})


class ProblemLog(logging.Handler):
    """What WeasyPrint only logs but a reader would miss: images and styles that did not load or could not be drawn."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the text."""
        text = record.getMessage()
        if text.startswith("Failed to "):
            self.texts.append(text)


class PageLog(logging.Handler):
    """Ends a document that grows too long while it is laid out: WeasyPrint says each page that it begins."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.most = 0

    def emit(self, record: logging.LogRecord) -> None:
        """RenderError at the first page too many."""
        if isinstance(record.msg, str) and "Page %d" in record.msg and isinstance(record.args, tuple):
            check_pages(int(str(record.args[0])), self.most)


_problems = ProblemLog()
_pages = PageLog()
_progress = logging.getLogger("weasyprint.progress")
_progress.handlers[:] = [_pages]
_progress.propagate = False
_progress.setLevel(logging.INFO)
_logger = logging.getLogger("weasyprint")
_logger.handlers[:] = [_problems]
_logger.propagate = False
