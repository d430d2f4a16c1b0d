"""The gateway's settings."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from morpheus_kit.config import Settings


class Config(Settings):
    """Environment of `gateway`; times in seconds."""

    service: ClassVar[str] = "gateway"

    home: Path = Field(Path(".morpheus"), description="Folder of keys, templates, records and outbox of a local stack.")
    host: str = Field("127.0.0.1", description="Address to listen on; `0.0.0.0` in a container.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        "", description="How clients reach the gateway, for links; empty: `http://127.0.0.1:` and the port."
    )
    keys_file: Path | None = Field(
        None, description="TOML file of API keys, read again when it changes; absent: `keys.toml` in the home."
    )
    max_body: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Bytes of the largest post. Posts under way may take four times this in memory together.",
    )
    outbox: Path | None = Field(
        None,
        description="Folder of mails as sent, shown at `/outbox` to this machine only; absent: no such page.",
    )
    intake_addr: str = Field("127.0.0.1:50051", description="Address of intake.")
    renderer_addr: str = Field("127.0.0.1:50052", description="Address of the renderer; asked for its health only.")
    dispatcher_addr: str = Field("127.0.0.1:50053", description="Address of the dispatcher.")
    tracker_addr: str = Field("127.0.0.1:50054", description="Address of the tracker.")
    grace: float = Field(25.0, gt=0, description="Seconds to finish requests under way when asked to stop.")

    @property
    def base_url(self) -> str:
        """The public URL without a slash at its end."""
        return self.public_url.rstrip("/") or f"http://127.0.0.1:{self.port}"

    @property
    def keys_path(self) -> Path:
        """Where the key file is."""
        return self.keys_file or self.home / "keys.toml"
