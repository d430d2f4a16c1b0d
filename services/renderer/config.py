"""The renderer's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from morpheus_kit.blobs import check_url
from morpheus_kit.blobs.addresses import check_buckets
from morpheus_kit.config import Settings, split_list
from services.renderer.failures import RenderError
from services.renderer.filters import time_zone
from services.renderer.locales import canonical
from services.renderer.settings import RenderSettings


def check_locale(value: str) -> str:
    """The canonical spelling. ValueError when it is no locale."""
    try:
        return canonical(value) or "en"
    except RenderError as exc:
        raise ValueError(f"{value!r} is not a locale such as en or en-GB") from exc


def check_time_zone(value: str) -> str:
    """The same. ValueError when there is no such zone."""
    try:
        time_zone(value)
    except RenderError as exc:
        raise ValueError(f"{value!r} is not a time zone such as Europe/London") from exc
    return value


S3_TTL = 5.0


class Config(Settings):
    """Environment of `services.renderer`; times in seconds, sizes in bytes."""

    service: ClassVar[str] = "services.renderer"

    renderer_addr: str = Field("127.0.0.1:50052", description="Address to serve on, `host:port`.")
    home: str = Field(".morpheus", description="Folder of the local stack; only where templates_url is not set.")
    templates_url: str = Field(
        "",
        description="Template store: `file:///folder` or `s3://bucket/prefix`. Empty: the folder `templates` in the "
        "home.",
    )
    s3_buckets: Annotated[tuple[str, ...], BeforeValidator(split_list), AfterValidator(check_buckets)] = Field(
        (),
        description="Further buckets that paths `s3://bucket/key` may name, as `a,b`; the one of templates_url always "
        "may. The same in intake and renderer.",
    )
    s3_endpoint_url: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="Where S3 is, if not at Amazon: `https://host:port`; buckets are then named in the path. Region "
        "and credentials come from `AWS_REGION`, `AWS_ACCESS_KEY_ID` … as for every AWS tool.",
    )
    template_cache: str = Field(
        "",
        description="Folder in which a fresh one is made for compiled templates, which all workers map; best in "
        "memory. Empty: `/dev/shm` where it can be written, else the system's folder for temporary files.",
    )
    template_cache_bytes: int = Field(
        256 * 1024**2,
        ge=16 * 1024**2,
        description="Most bytes of compiled templates in that folder, about ten for each byte of source; the least "
        "used make room. What all groups of some minutes use should fit.",
    )
    template_ttl: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="Seconds for which a template is taken to be what it was when it was last looked at; then the "
        "store is asked whether it still is (`If-None-Match`). So long after an edit a group may start with the old "
        "version. Absent: 5 with S3, 0 with a folder.",
    )
    render_workers: int = Field(
        0,
        ge=0,
        le=256,
        description="Worker processes: 0 is one for each CPU. A worker needs 40 MB, with PDFs 80 MB and more.",
    )
    render_timeout: float = Field(
        5.0,
        gt=0,
        description="Seconds that one step of a message may take (templates; text part; CSS; attachments with PDFs); "
        "after it its worker is killed and replaced.",
    )
    render_memory: int = Field(
        1024**3,
        ge=256 * 1024**2,
        description="Most address space of one worker; a message that needs more fails. Raise it for very large PDFs.",
    )
    render_recycle: int = Field(
        400 * 1024**2,
        ge=128 * 1024**2,
        description="Resident memory of a worker above which it is replaced between two slices. A worker with PDFs "
        "needs about 80 MB and keeps what its largest document needed.",
    )
    render_backlog: int = Field(
        256 * 1024**2,
        ge=128 * 1024**2,
        description="Bytes of requests that wait and of answers that nobody has read, above which further calls are "
        "told to come later (`RESOURCE_EXHAUSTED`); one group may hold a quarter. The front needs about twice as much.",
    )
    pdf_pages: int = Field(
        200,
        ge=1,
        description="Most pages of one PDF; a longer one fails its message. A page takes about 10 ms and more.",
    )
    pdf_bytes: int = Field(10_000_000, ge=10_000, description="Most bytes of one PDF; a larger one fails its message.")
    pdf_cache: int = Field(
        64 * 1024**2,
        ge=0,
        description="Bytes of shared memory for PDFs that were made, so that the same document is made once; it counts "
        "as memory of the pod. Room for the PDFs of a few minutes is enough.",
    )
    max_message: int = Field(
        25_000_000,
        ge=1_000,
        le=30_000_000,
        description="Most bytes of one message with its attachments, before base64; a larger one is rejected.",
    )
    default_locale: Annotated[str, AfterValidator(check_locale)] = Field(
        "en",
        description="Locale of recipients whose context has no `locale`, e.g. `en-GB`: how filters write money, "
        "numbers and dates. It chooses no template.",
    )
    default_time_zone: Annotated[str, AfterValidator(check_time_zone)] = Field(
        "UTC", description="Time zone of recipients whose context has no `time_zone`, e.g. `Europe/London`."
    )
    sms_downgrade: bool = Field(
        False,
        description="Previews show typeset quotes, dashes and spaces of an SMS plain where that alone makes it GSM-7. "
        "The same in dispatcher and renderer.",
    )
    grace: float = Field(25.0, gt=0, description="Seconds to finish what is under way when asked to stop.")

    @property
    def store_url(self) -> str:
        """The template store, defaults filled in."""
        return self.templates_url or (Path(self.home).absolute() / "templates").as_uri()

    @property
    def seconds_seen(self) -> float:
        """Time to live of what was seen in the store, defaults filled in."""
        default = S3_TTL if self.store_url.startswith("s3://") else 0.0
        return default if self.template_ttl is None else self.template_ttl

    @property
    def worker_count(self) -> int:
        """Worker processes, defaults filled in."""
        return self.render_workers or len(os.sched_getaffinity(0))

    @property
    def settings(self) -> RenderSettings:
        """What workers are told."""
        return RenderSettings(
            self.max_message,
            self.default_locale,
            self.default_time_zone,
            self.pdf_pages,
            self.pdf_bytes,
            self.pdf_cache,
        )

    @field_validator("templates_url")
    @classmethod
    def _store_can_be_opened(cls, value: str) -> str:
        if value:
            check_url(value)
        return value
