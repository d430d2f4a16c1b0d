"""The key file: who may post, read and operate, for which companies and senders, how often.

TOML, `[[keys]]` with `id`, `secrets`, `token_sha256`, `scopes`, `company_codes`, `from_domains`
(optional) and `rate` (posts a minute, optional). It is read again when it changes; a change that
cannot be used is logged and the keys before it stay in force.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from morpheus_kit import logs, signing
from morpheus_kit.clock import Clock
from morpheus_kit.config import ConfigError
from morpheus_kit.errors import ForbiddenError, ThrottledError, UnauthenticatedError

log = logs.get_logger(__name__)

ANY_COMPANY = "*"
SCOPES = frozenset(["send", "read", "operate", "admin"])


class _FileKey(msgspec.Struct, forbid_unknown_fields=True):
    """One `[[keys]]` table as it stands in the file."""

    id: str
    secrets: list[str] = []
    token_sha256: list[str] = []
    scopes: list[str] = []
    company_codes: list[str] = []
    from_domains: list[str] | None = None
    rate: float | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[_FileKey] = []


class Key(msgspec.Struct, frozen=True):
    """An API key: its id, what it proves itself with and what it may do."""

    id: str
    hmac_keys: tuple[bytes, ...]
    token_digests: tuple[str, ...]
    scopes: frozenset[str]
    company_codes: frozenset[str]
    from_domains: frozenset[str] | None = None
    rate: float | None = None
    """Posts a minute; None = no limit."""

    def require_scope(self, scope: str) -> None:
        """ForbiddenError when the key does not have it; `admin` counts only for all companies."""
        if scope not in self.scopes or (scope == "admin" and ANY_COMPANY not in self.company_codes):
            raise ForbiddenError(f"This key does not have the scope {scope}.")

    def require_company(self, company_code: str) -> None:
        """ForbiddenError when the key may not act for this company; `*` needs the scope admin."""
        if company_code == ANY_COMPANY:
            self.require_scope("admin")
        elif ANY_COMPANY not in self.company_codes and company_code not in self.company_codes:
            raise ForbiddenError("This key may not act for this company_code.")

    def require_sender(self, domain: str) -> None:
        """ForbiddenError when the key lists sender domains and this is none of them."""
        if self.from_domains is not None and domain.lower() not in self.from_domains:
            raise ForbiddenError("This key may not send from the domain of from_address.")


class Keyring:
    """The keys of a file, always as the file is now."""

    def __init__(self, path: Path) -> None:
        """ConfigError when the file cannot be used now."""
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._by_id: dict[str, Key] = {}
        self._by_token: dict[str, Key] = {}
        try:
            self._load(_stamp(path))
        except (OSError, ValueError) as exc:
            raise ConfigError(f"MORPHEUS_KEYS_FILE: {path}: {exc}") from exc

    def by_id(self, key_id: str) -> Key:
        """The key with this id. UnauthenticatedError when there is none."""
        self._refresh()
        key = self._by_id.get(key_id)
        if key is None:
            raise UnauthenticatedError(f"{signing.KEY_HEADER}: no such key.")
        return key

    def by_token(self, token: str) -> Key:
        """The key that this bearer token belongs to. UnauthenticatedError when there is none.

        What is looked up is the token's digest, so a look-up's timing says nothing about a token.
        """
        self._refresh()
        key = self._by_token.get(hashlib.sha256(token.encode()).hexdigest())
        if key is None:
            raise UnauthenticatedError("Authorization: the token is not valid.")
        return key

    def verify(self, headers: signing.SignatureHeaders, payload: str, now_s: float) -> Key:
        """The key that signed `payload`. UnauthenticatedError says which of key, timestamp, signature failed."""
        key = self.by_id(headers.key_id)
        signing.verify(headers, payload, key.hmac_keys, now_s)
        return key

    def _refresh(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._load(stamp)
        except (OSError, ValueError) as exc:
            if self._stamp is not None:
                log.error("key_file_unusable", error=str(exc))  # noqa: TRY400  the text says it all
            self._stamp = None

    def _load(self, stamp: tuple[int, int, int]) -> None:
        keys = _parse(tomllib.loads(self._path.read_text(encoding="utf-8")))
        self._by_id = {key.id: key for key in keys}
        self._by_token = {digest: key for key in keys for digest in key.token_digests}
        self._stamp = stamp
        log.info("key_file_read", keys=len(keys))


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _parse(document: dict[str, Any]) -> list[Key]:
    keys = [_key(item) for item in msgspec.convert(document, _File).keys]
    ids = [key.id for key in keys]
    digests = [digest for key in keys for digest in key.token_digests]
    if len(set(ids)) != len(ids) or len(set(digests)) != len(digests):
        msg = "two keys have the same id or the same token"
        raise ValueError(msg)
    return keys


def _key(item: _FileKey) -> Key:
    try:
        hmac_keys = tuple(signing.decode_secret(secret) for secret in item.secrets)
    except ValueError as exc:
        msg = f"key {item.id}: {exc}"
        raise ValueError(msg) from exc
    if not item.id or set(item.scopes) - SCOPES:
        msg = f"key {item.id!r}: an id, and scopes out of {', '.join(sorted(SCOPES))}, are required"
        raise ValueError(msg)
    if item.rate is not None and item.rate <= 0:
        msg = f"key {item.id}: rate is posts a minute, above 0"
        raise ValueError(msg)
    return Key(
        id=item.id,
        hmac_keys=hmac_keys,
        token_digests=tuple(digest.lower() for digest in item.token_sha256),
        scopes=frozenset(item.scopes),
        company_codes=frozenset(item.company_codes),
        from_domains=None if item.from_domains is None else frozenset(map(str.lower, item.from_domains)),
        rate=item.rate,
    )


class RateLimiter:
    """A token bucket for each key that has a `rate`: a minute's posts at once, then evenly."""

    def __init__(self, clock: Clock) -> None:
        """`clock` gives the seconds that buckets fill by."""
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: Key) -> None:
        """Counts one post. ThrottledError, with the seconds to wait, when the key's rate is used up."""
        if key.rate is None:
            return
        now = self._clock.monotonic()
        capacity = max(1.0, key.rate)
        tokens, at = self._buckets.get(key.id, (capacity, now))
        tokens = min(capacity, tokens + (now - at) * key.rate / 60)
        if tokens < 1:
            self._buckets[key.id] = (tokens, now)
            raise ThrottledError("This key posts faster than its rate.", retry_after=(1 - tokens) * 60 / key.rate)
        self._buckets[key.id] = (tokens - 1, now)
