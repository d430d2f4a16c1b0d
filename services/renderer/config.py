"""The renderer's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from morpheus_kit.blobs import open_store
from morpheus_kit.config import Settings


class Config(Settings):
    """Environment of `services.renderer`; times in seconds, sizes in bytes."""

    service: ClassVar[str] = "services.renderer"

    renderer_addr: str = Field("127.0.0.1:50052", description="Address to serve on, `host:port`.")
    home: str = Field(".morpheus", description="Folder of the local stack; only where templates_url is not set.")
    templates_url: str = Field(
        "", description="Template store: `file:///folder`. Empty: the folder `templates` in the home."
    )
    template_cache: str = Field(
        "",
        description="Folder in which a fresh one is made for copies of templates and their compiled code; "
        "best in memory. Empty: `/dev/shm` where it can be written, else the system's folder for temporary files.",
    )
    render_workers: int = Field(
        0,
        ge=0,
        le=256,
        description="Worker processes: 0 is one for each CPU. A worker needs 40 MB, with PDFs 80 MB and more.",
    )
    render_timeout: float = Field(
        5.0, gt=0, description="Seconds that one message may take; after it its worker is killed and replaced."
    )
    render_memory: int = Field(
        1024**3,
        ge=256 * 1024**2,
        description="Most address space of one worker; a message that needs more fails. Raise it for very large PDFs.",
    )
    max_message: int = Field(
        25_000_000,
        ge=1_000,
        le=30_000_000,
        description="Most bytes of one message with its attachments, before base64; a larger one is rejected.",
    )
    grace: float = Field(25.0, gt=0, description="Seconds to finish what is under way when asked to stop.")

    @property
    def store_url(self) -> str:
        """The template store, defaults filled in."""
        return self.templates_url or (Path(self.home).absolute() / "templates").as_uri()

    @property
    def worker_count(self) -> int:
        """Worker processes, defaults filled in."""
        return self.render_workers or len(os.sched_getaffinity(0))

    @field_validator("templates_url")
    @classmethod
    def _store_can_be_opened(cls, value: str) -> str:
        if value:
            open_store(value)
        return value
