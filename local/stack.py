"""What the stack consists of: which programs, in which order, with which environment."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

# The stack forks children while its readiness checks hold gRPC's threads; gRPC must not interfere.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from local import keys, redis
from local.supervisor import Program

SERVICES = ("renderer", "tracker", "intake", "dispatcher")
FIRST_PORT = 8000
# What makes an email provider a configured one.
PROVIDER_SETTINGS = {"ses": "SES_CONFIGURATION_SET", "mandrill": "MANDRILL_KEY", "smtp": "SMTP_URL"}
# The same of SMS.
SMS_SETTINGS = ("TWILIO_ACCOUNT_SID", "BIRD_KEY")


class PortTakenError(Exception):
    """The gateway's port belongs to another process."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken; set MORPHEUS_PORT (or --port) to a free one")


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as exc:
            if exc.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def next_free_port(first: int = FIRST_PORT) -> int:
    return next(port for port in range(first, 65536) if port_is_free(port))


def loopback_addresses(count: int, besides: int = 0) -> list[str]:
    """Addresses that nobody listens on; held together while they are chosen, so that no two are the same.

    `besides` is a port that is spoken for though nobody listens on it yet.
    """
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count + 1)]
    try:
        ports = [probe.getsockname()[1] for probe in probes]
        return [f"127.0.0.1:{port}" for port in ports if port != besides][:count]
    finally:
        for probe in probes:
            probe.close()


def methods(given: Mapping[str, str]) -> str:
    """`test` always, what has its setting, and the routes `email` and `sms` where one of theirs has."""
    found = [method for method, name in PROVIDER_SETTINGS.items() if is_given(name, given)]
    text = any(is_given(name, given) for name in SMS_SETTINGS)
    return ",".join(["test", *found, *(["email"] if found else []), *(["sms"] if text else [])])


def is_given(name: str, given: Mapping[str, str]) -> bool:
    return bool(given.get(f"MORPHEUS_{name}") or given.get(f"MORPHEUS_{name}_FILE"))


def environment(home: Path, port: int, given: Mapping[str, str]) -> dict[str, str]:
    """The settings of every child. What the caller has set wins, except the home and the port, which are arguments."""
    addresses = dict(zip(SERVICES, loopback_addresses(len(SERVICES), besides=port), strict=True))
    defaults = {
        "MORPHEUS_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "MORPHEUS_KEYS_FILE": str(home / "keys.toml"),
        "MORPHEUS_REDIS_URL": f"unix://{redis.socket_path(home)}",
        "MORPHEUS_PARTITIONS": "1",
        "MORPHEUS_TEMPLATES_URL": f"file://{home / 'templates'}",
        "MORPHEUS_RECORDS_URL": f"sqlite:///{home / 'records.db'}",
        "MORPHEUS_METHODS": methods(given),
        "MORPHEUS_OUTBOX": str(home / "outbox"),
        **{f"MORPHEUS_{name.upper()}_ADDR": address for name, address in addresses.items()},
    }
    wanted = {name: value for name, value in defaults.items() if f"{name}_FILE" not in given}
    own = {"MORPHEUS_HOME": str(home), "MORPHEUS_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    return wanted | dict(given) | own


def prepare(home: Path, port: int, given: Mapping[str, str]) -> dict[str, str]:
    """Makes the home with its keys where they are missing, and returns the children's environment."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in ("redis", "templates", "outbox"):
        (home / folder).mkdir(exist_ok=True)
    env = environment(home, port, given)
    for name in ("token_secret", "address_secret"):
        setting = f"MORPHEUS_{name.upper()}"
        if not env.keys() & {setting, f"{setting}_FILE"}:
            env[setting] = keys.ensure_secret(home, name)
    if "MORPHEUS_KEYS_FILE" in env:
        keys.ensure_keys(home, Path(env["MORPHEUS_KEYS_FILE"]), f"http://127.0.0.1:{port}")
    return env


async def serves(address: str) -> bool:
    """The service's own word, by the standard health protocol."""
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            reply = await check(HealthCheckRequest(), timeout=2.0)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == HealthCheckResponse.SERVING)


def fetch_ready(url: str) -> bool:
    try:
        with urlopen(url, timeout=2.0) as reply:  # noqa: S310 the URL is our own loopback address
            return bool(reply.status == 200)
    except (OSError, URLError):
        return False


async def gateway_ready(port: int) -> bool:
    return await asyncio.to_thread(fetch_ready, f"http://127.0.0.1:{port}/readyz")


def module_command(name: str) -> list[str]:
    return [sys.executable, "-m", "gateway" if name == "gateway" else f"services.{name}"]


def programs(home: Path, port: int, env: Mapping[str, str], given: Mapping[str, str]) -> list[list[Program]]:
    """Stages: those of one stage start together, once all of the stage before are ready; stopping goes backwards."""
    services = {
        name: Program(name, module_command(name), partial(serves, env[f"MORPHEUS_{name.upper()}_ADDR"]))
        for name in SERVICES
    }
    stages = [
        [services["renderer"], services["tracker"]],
        [services["intake"], services["dispatcher"]],
        [Program("gateway", module_command("gateway"), partial(gateway_ready, port))],
    ]
    if not given.keys() & {"MORPHEUS_REDIS_URL", "MORPHEUS_REDIS_URL_FILE"}:
        embedded = Program("redis", redis.command(home), partial(redis.answers, env["MORPHEUS_REDIS_URL"]))
        stages.insert(0, [embedded])
    return stages
