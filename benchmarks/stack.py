"""The real one-machine stack in a folder of its own, with the CPU and memory of each process."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

import msgpack
import psutil

from benchmarks import sample

START_SECONDS = 60.0


@dataclass(slots=True)
class Stack:
    """`with Stack(folder) as stack`: started, ready, and stopped at the end."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _client: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Starts `python -m local` and waits until it is ready."""
        self.port = free_port()
        target = self.home / "templates" / "bench"
        target.mkdir(parents=True, exist_ok=True)
        for path in sample.TEMPLATES.iterdir():
            shutil.copy(path, target / path.name)
        command = [sys.executable, "-m", "local", "--home", str(self.home), "--port", str(self.port)]
        with (self.home / "stack.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **self.environment}
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                msg = f"the stack did not start; see {self.home / 'stack.log'}"
                raise RuntimeError(msg)
            time.sleep(0.1)
        self._client = tomllib.loads((self.home / "client.toml").read_text())
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it in order; kills it when that takes more than 40 s."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def kill(self) -> None:
        """All of it at once, as when the machine loses its power: the children die with the first process."""
        assert self._process is not None  # noqa: S101  only inside `with`
        self._process.kill()
        self._process.wait()

    def post(self, body: bytes, path: str = "/v1/groups") -> tuple[int, dict[str, Any], float]:
        """Signs and posts a packed group: status, reply, seconds until the reply. `/v1/preview` takes the same."""
        webhook_id, timestamp = uuid4().hex, str(int(time.time()))
        payload = f"POST {path} " + hashlib.sha256(body).hexdigest()
        key = base64.b64decode(self._client["secret"].removeprefix("whsec_"))
        mac = hmac.new(key, f"{webhook_id}.{timestamp}.{payload}".encode(), hashlib.sha256)
        headers = {
            "content-type": "application/msgpack",
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": "v1," + base64.b64encode(mac.digest()).decode(),
            "morpheus-key": self._client["key"],
        }
        started = time.perf_counter()
        status, reply = self._request("POST", path, body, headers)
        return status, reply, time.perf_counter() - started

    def send(self, group_id: str, recipients: int, method: str = "test") -> tuple[int, dict[str, Any], float]:
        """Posts the sample group."""
        return self.post(msgpack.packb(sample.group(group_id, recipients, method)))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """A read of the sample's company. RuntimeError when it is not answered with 200."""
        headers = {"authorization": f"Bearer {self._client['token']}"}
        filters = urlencode({"company_code": sample.COMPANY, **query})
        status, reply = self._request("GET", f"{path}?{filters}", None, headers)
        if status != HTTPStatus.OK:
            msg = f"GET {path}: {status} {reply}"
            raise RuntimeError(msg)
        return reply

    def operate(self, group_id: str, word: str) -> tuple[int, dict[str, Any]]:
        """`POST /v1/groups/{id}/pause`, `resume` or `cancel`: status and reply."""
        return self._operation(f"/v1/groups/{group_id}/{word}")

    def suppress(self, address: str) -> tuple[int, dict[str, Any]]:
        """`POST /v1/suppressions`: status and reply."""
        return self._operation("/v1/suppressions", json.dumps({"address": address}).encode())

    def resend(self, message_id: str) -> tuple[int, dict[str, Any]]:
        """`POST /v1/messages/{id}/resend`: status and reply."""
        return self._operation(f"/v1/messages/{message_id}/resend")

    def erase(self, address: str) -> tuple[int, dict[str, Any]]:
        """`POST /v1/erasures`: status and reply."""
        return self._operation("/v1/erasures", json.dumps({"address": address}).encode())

    def group(self, group_id: str) -> dict[str, Any]:
        """`GET /v1/groups/{id}`."""
        return self.get(f"/v1/groups/{group_id}")

    def message(self, message_id: str) -> dict[str, Any]:
        """`GET /v1/messages/{id}`."""
        return self.get(f"/v1/messages/{message_id}")

    def wait_finished(self, group_id: str, seconds: float) -> dict[str, Any]:
        """Polls until the last message is recorded. TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            group = self.group(group_id)
            if group.get("control") == "finished":
                return group
            if time.monotonic() > deadline:
                msg = f"{group_id} is not finished after {seconds} s: {group}"
                raise TimeoutError(msg)
            time.sleep(0.1)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """All processes of the stack by service; workers count to their service."""
        assert self._process is not None  # noqa: S101  only inside `with`
        root = psutil.Process(self._process.pid)
        found: dict[str, list[psutil.Process]] = {"local": [root]}
        for child in root.children():
            found.setdefault(_service(child), []).extend([child, *child.children(recursive=True)])
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """User and system seconds of each service since its start."""
        result = {}
        for name, members in self.processes().items():
            times = [member.cpu_times() for member in members]
            result[name] = sum(each.user + each.system for each in times)
        return result

    def rss_mib(self) -> dict[str, float]:
        """Resident memory of each service."""
        return {
            name: round(sum(member.memory_info().rss for member in members) / 2**20, 1)
            for name, members in self.processes().items()
        }

    def _operation(self, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        headers = {"authorization": f"Bearer {self._client['token']}"}
        return self._request("POST", f"{path}?{urlencode({'company_code': sample.COMPANY})}", body, headers)

    def _is_ready(self) -> bool:
        try:
            return self._request("GET", "/readyz", None, {})[0] == HTTPStatus.OK
        except OSError:
            return False

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return response.status, json.loads(text) if text[:1] in {b"{", b"["} else {}


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _service(process: psutil.Process) -> str:
    command = process.cmdline()
    if "-m" in command:
        return command[command.index("-m") + 1].removeprefix("services.")
    return Path(command[0]).name if command else "gone"
