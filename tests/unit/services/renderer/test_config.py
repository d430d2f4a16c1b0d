"""Defaults and refusals of the renderer's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from morpheus_kit.config import ConfigError
from services.renderer.config import Config


def test_defaults_are_those_of_the_local_stack(tmp_path: Path) -> None:
    config = Config.load({"MORPHEUS_HOME": str(tmp_path)})
    assert config.store_url == f"file://{tmp_path}/templates"
    assert config.worker_count >= 1
    assert (config.render_timeout, config.max_message) == (5.0, 25_000_000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TEMPLATES_URL", "s3://"),
        ("TEMPLATES_URL", "s3://bucket/../prefix"),
        ("S3_BUCKETS", "good,No"),
        ("S3_ENDPOINT_URL", "127.0.0.1:9000"),
        ("TEMPLATES_URL", "file://host/x"),
        ("TEMPLATES_URL", "templates"),
        ("RENDER_TIMEOUT", "0"),
        ("RENDER_WORKERS", "-1"),
        ("MAX_MESSAGE", "40000000"),
        ("RENDER_MEMORY", "1000"),
    ],
)
def test_unusable_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"MORPHEUS_{name}"):
        Config.load({f"MORPHEUS_{name}": value})
