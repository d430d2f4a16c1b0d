"""Gateway and intake as processes: memory while much goes through, hostile bodies, stopping."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from morpheus_kit import signing
from tests.contract.stack import KEYS, SECRET, group, pack

RECIPIENTS = 50_000
LIMIT_MB = 250


@dataclass
class Processes:
    """The two, and how to reach them."""

    gateway: subprocess.Popen[bytes]
    intake: subprocess.Popen[bytes]
    url: str
    environment: dict[str, str]

    def post(self, body: bytes) -> httpx.Response:
        headers = {"content-type": "application/msgpack", **signing.signed_headers(SECRET, body, now_s=time.time())}
        return httpx.post(f"{self.url}/v1/groups", content=body, headers=headers, timeout=60)

    def restart_intake(self) -> None:
        self.intake.kill()
        self.intake.wait()
        self.intake = subprocess.Popen([sys.executable, "-m", "services.intake"], env=self.environment)
        _wait(self.url)


def most_memory(process: subprocess.Popen[bytes]) -> float:
    """The largest resident size so far, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


@contextmanager
def started(redis_url: str, home: Path) -> Iterator[Processes]:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    (home / "keys.toml").write_text(KEYS)
    port, intake_port = free_ports(2)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MORPHEUS_")},
        "MORPHEUS_HOME": str(home),
        "MORPHEUS_PORT": str(port),
        "MORPHEUS_INTAKE_ADDR": f"127.0.0.1:{intake_port}",
        "MORPHEUS_REDIS_URL": redis_url,
        "MORPHEUS_METHODS": "test",
        "MORPHEUS_LOG_LEVEL": "warning",
    }
    intake = subprocess.Popen([sys.executable, "-m", "services.intake"], env=environment)
    gateway = subprocess.Popen([sys.executable, "-m", "gateway"], env=environment)
    processes = Processes(gateway, intake, f"http://127.0.0.1:{port}", environment)
    try:
        _wait(processes.url)
        yield processes
    finally:
        for process in (processes.gateway, processes.intake):
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(30) for process in (processes.gateway, processes.intake)]
    assert codes == [0, 0]


@pytest.fixture
def processes(redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Processes]:
    with started(redis_url, tmp_path) as made:
        yield made


def _wait(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            services = httpx.get(f"{url}/readyz", timeout=5).json()["services"]
            if services["intake"] == "serving":
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "gateway and intake did not start"
        time.sleep(0.1)


def large_group() -> bytes:
    recipients: list[dict[str, Any]] = [
        {
            "address": f"customer{number}@example.com" if number % 100 else "nonsense",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "user_link": f"https://books.example.com/orders/HB-{number}",
            "tags": [f"order-{number}"],
            "context": {"order": f"HB-{number}", "items": [{"title": "Passage to Juneau", "price": "9.50"}] * 3},
        }
        for number in range(RECIPIENTS)
    ]
    return pack(group(recipients=recipients))


def test_fifty_thousand_recipients_and_hostile_bodies_stay_within_memory(processes: Processes) -> None:
    body = large_group()
    reply = processes.post(body)
    assert (reply.status_code, reply.json()["accepted"]) == (202, RECIPIENTS * 99 // 100)
    assert processes.post(body).status_code == 200
    many = (60_000_000).to_bytes(4, "big")
    plain = pack({name: value for name, value in group().items() if name != "recipients"})
    head = bytes([plain[0] + 1]) + plain[1:]
    for hostile in (
        head + pack("recipients") + b"\xdd" + many + b"\x80" * 60_000_000,
        head + pack("context") + b"\x81\xa1a\xdd" + many + b"\x80" * 60_000_000,
        head + pack("context") + b"\x91" * 60_000_000,
    ):
        assert processes.post(hostile).status_code in {400, 422}
    assert processes.post(bytes(64 * 1024 * 1024 + 1)).status_code == 413
    assert most_memory(processes.gateway) < LIMIT_MB
    assert most_memory(processes.intake) < LIMIT_MB


def test_a_client_that_stops_sending_holds_up_nobody(processes: Processes) -> None:
    host, _, port = processes.url.removeprefix("http://").partition(":")
    head = "POST /v1/groups HTTP/1.1\r\nhost: x\r\ncontent-type: application/msgpack\r\ncontent-length: 100000\r\n\r\n"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(head.encode() + b"part of a body")
        assert processes.post(pack(group())).status_code == 202


def test_an_intake_that_dies_during_an_upload_is_503(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    body = large_group()
    with ThreadPoolExecutor() as pool, started(redis_url, tmp_path) as processes:
        for delay in (0.15, 0.3, 0.45):
            reply = pool.submit(processes.post, body)
            time.sleep(delay)
            processes.restart_intake()
            answer = reply.result()
            assert answer.status_code in {200, 202, 503}, answer.text
            if answer.status_code == 503:
                assert answer.json()["code"] == "unavailable"
                assert int(answer.headers["retry-after"]) >= 1
        assert processes.post(body).status_code in {200, 202}


def test_a_taken_port_stops_the_start(processes: Processes, tmp_path: Path) -> None:
    port = processes.url.rpartition(":")[2]
    environment = {**os.environ, "MORPHEUS_HOME": str(tmp_path), "MORPHEUS_PORT": port}
    second = subprocess.run([sys.executable, "-m", "gateway"], env=environment, check=False, timeout=30)
    assert second.returncode == 1


def test_check_config_starts_nothing(tmp_path: Path) -> None:
    for module in ("gateway", "services.intake"):
        command = [sys.executable, "-m", module, "--check-config"]
        good = {"PATH": os.environ["PATH"], "MORPHEUS_METHODS": "test"}
        assert subprocess.run(command, env=good, check=False, timeout=30).returncode == 0
        assert subprocess.run(command, env={**good, "MORPHEUS_TYPO": "1"}, check=False, timeout=30).returncode == 2


async def test_both_stop_at_once_when_idle(processes: Processes) -> None:
    started = time.monotonic()
    for process in (processes.gateway, processes.intake):
        process.send_signal(signal.SIGTERM)
    while processes.gateway.poll() is None or processes.intake.poll() is None:
        await asyncio.sleep(0.05)
        assert time.monotonic() - started < 20
