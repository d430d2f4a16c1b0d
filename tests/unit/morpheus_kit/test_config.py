"""Configuration: typed, from the environment, and nothing in it is silently ignored."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from morpheus_kit.config import KNOWN_NAMES, ConfigError, Settings

SERVICES = ("gateway", "services.intake", "services.renderer", "services.dispatcher", "services.tracker")


class Sample(Settings):
    service: ClassVar[str] = "sample"

    port: int = Field(8000, gt=0)


def test_unknown_name_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="MORPHEUS_PROT: no service knows this name"):
        Sample.load({"MORPHEUS_PROT": "1"})


def test_name_of_another_service_is_ignored() -> None:
    assert Sample.load({"MORPHEUS_LEASE": "30", "PATH": "/bin"}).port == 8000


def test_file_twin_is_read(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("9000\n")
    assert Sample.load({"MORPHEUS_PORT_FILE": str(tmp_path / "port")}).port == 9000


def test_bad_value_is_named() -> None:
    with pytest.raises(ConfigError, match="MORPHEUS_PORT"):
        Sample.load({"MORPHEUS_PORT": "many"})


def test_every_known_name_belongs_to_a_service() -> None:
    used = set()
    for service in SERVICES:
        module = importlib.import_module(f"{service}.config")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Settings):
                used |= {name.upper() for name in value.model_fields}
    assert used | {"HOME"} == KNOWN_NAMES | {"HOME"}
