"""What each worker is told when it starts."""

from __future__ import annotations

import msgspec


class RenderSettings(msgspec.Struct, frozen=True):
    """Sizes in bytes; locale and time zone are those of recipients that name none."""

    max_message: int = 25_000_000
    locale: str = "en"
    time_zone: str = "UTC"
    pdf_pages: int = 200
    pdf_bytes: int = 10_000_000
    pdf_cache: int = 64 * 1024 * 1024
