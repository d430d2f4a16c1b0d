"""A real mail server (mailpit) that demands STARTTLS and a password, and gives back over its API what it got."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.servers import binary, free_port, running

CERTIFICATE = Path(__file__).parents[1] / "integration" / "dispatcher" / "localhost.pem"


@dataclass(frozen=True)
class Mailbox:
    """Its ports, and what it got."""

    port: int
    api_port: int

    @property
    def environment(self) -> dict[str, str]:
        """What a dispatcher needs to send by it."""
        url = f"smtp://morpheus:p%40ss@localhost:{self.port}?starttls=1"
        return {"MORPHEUS_SMTP_URL": url, "SSL_CERT_FILE": str(CERTIFICATE)}

    def messages(self) -> list[dict[str, Any]]:
        """Summaries, newest first."""
        found: list[dict[str, Any]] = self._get("/api/v1/messages?limit=500")["messages"]
        return found

    def message(self, message_id: str) -> dict[str, Any]:
        """One message as the server has read it."""
        return self._get(f"/api/v1/message/{message_id}")

    def raw(self, message_id: str) -> bytes:
        """One message as it came."""
        return self._read(f"/api/v1/message/{message_id}/raw")

    def part(self, message_id: str, part_id: str) -> bytes:
        """The content of an attachment."""
        return self._read(f"/api/v1/message/{message_id}/part/{part_id}")

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._read(path))
        return found

    def _read(self, path: str) -> bytes:
        with urlopen(f"http://127.0.0.1:{self.api_port}{path}", timeout=10) as answer:
            content: bytes = answer.read()
        return content


@contextmanager
def serve(folder: Path, *options: str) -> Iterator[Mailbox]:
    """A running server, whose password is `p@ss`."""
    mailbox = Mailbox(free_port(), free_port())
    passwords = folder / "passwords"
    passwords.write_text("morpheus:p@ss\n")
    command = [
        *(binary("mailpit"), "--listen", f"127.0.0.1:{mailbox.api_port}", "--smtp", f"127.0.0.1:{mailbox.port}"),
        *("--database", str(folder / "mail.db"), "--disable-version-check", "--smtp-disable-rdns"),
        *("--smtp-tls-cert", str(CERTIFICATE), "--smtp-tls-key", str(CERTIFICATE), "--smtp-require-starttls"),
        *("--smtp-auth-file", str(passwords), *options),
    ]
    with running(command, mailbox.api_port, {}):
        yield mailbox


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    folder = tmp_path / "mailpit"
    folder.mkdir()
    with serve(folder, "--smtp-allowed-recipients", "^person") as running_server:
        yield running_server
