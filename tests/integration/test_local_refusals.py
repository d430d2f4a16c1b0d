"""`python -m local` where it must not start, and the embedded Redis by itself."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

from redis.asyncio import Redis

from local import __main__ as main
from local import redis
from local.supervisor import Program, Supervisor


def local(*arguments: object) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MORPHEUS_")}
    command = [sys.executable, "-m", "local", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_taken_port_is_refused_by_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = local("--home", tmp_path, "--port", port)
    assert done.returncode == 2
    assert f"port {port} is taken; set MORPHEUS_PORT" in done.stderr


def test_home_in_use_is_refused_by_name(tmp_path: Path) -> None:
    with main.locked(tmp_path):
        done = local("--home", tmp_path, "--port", 1)
    assert done.returncode == 2
    assert f"another stack runs in {tmp_path}" in done.stderr


async def test_embedded_redis_keeps_what_it_has_answered_over_a_kill(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    url = f"unix://{redis.socket_path(tmp_path)}"

    async def ready() -> bool:
        return await redis.answers(url)

    supervisor = Supervisor([[Program("redis", redis.command(tmp_path), ready)]], os.environ, lambda *_: None)

    async def check() -> None:
        async with Redis.from_url(url, decode_responses=True) as client:
            await client.set("kept", "yes")
            config = await client.config_get("append*", "maxmemory*")
            assert config["appendonly"] == "yes"
            assert config["appendfsync"] == "always"
            assert config["maxmemory-policy"] == "noeviction"
            assert config["maxmemory"] == str(1024**3)
        os.kill(supervisor.pids()["redis"], 9)
        async with asyncio.timeout(20):
            await asyncio.sleep(0.1)
            while not await ready():
                await asyncio.sleep(0.05)
        async with Redis.from_url(url, decode_responses=True) as client:
            assert await client.get("kept") == "yes"
        supervisor.stop_requested.set()

    await supervisor.run(check)
