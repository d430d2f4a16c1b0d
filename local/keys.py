"""What a first start makes: the key file, the client's copy of it, and the secrets of page tokens and address hashes.

An existing key file is never touched.
"""

import base64
import hashlib
import os
import secrets
import tomllib
from pathlib import Path
from typing import NamedTuple

KEY_ID = "default"
CLIENT_FIELDS = ("url", "key", "secret", "token")


class Client(NamedTuple):
    """What a client needs to post and to read."""

    url: str
    key: str
    secret: str
    token: str


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, and readable by its owner only from the first byte on."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    scratch.replace(path)


def read_client(home: Path) -> Client | None:
    """None when there is no client file, or it is not one that we wrote."""
    path = home / "client.toml"
    if not path.exists():
        return None
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    if sorted(values) != sorted(CLIENT_FIELDS) or not all(isinstance(value, str) for value in values.values()):
        return None
    return Client(**values)


def write_client(home: Path, client: Client) -> None:
    write_private(home / "client.toml", "".join(f'{name} = "{value}"\n' for name, value in client._asdict().items()))


def ensure_keys(home: Path, keys_file: Path, url: str) -> None:
    """Makes one key on the first start; afterwards only keeps the URL in the client file right."""
    if keys_file.exists():
        client = read_client(home)
        if client is not None and client.url != url:
            write_client(home, client._replace(url=url))
        return
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    token = "mtok_" + secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    write_client(home, Client(url, KEY_ID, secret, token))
    write_private(
        keys_file,
        f"""\
# Who may post, read and operate. Read again when it changes; a key with two secrets is a rotation.
[[keys]]
id = "{KEY_ID}"
secrets = ["{secret}"]
token_sha256 = ["{digest}"]
scopes = ["send", "read", "operate", "admin"]
company_codes = ["*"]
""",
    )


def ensure_secret(home: Path, name: str) -> str:
    """A random secret in a file of its own: made once, kept."""
    path = home / name
    if not path.exists():
        write_private(path, secrets.token_hex(32) + "\n")
    return path.read_text(encoding="utf-8").strip()
