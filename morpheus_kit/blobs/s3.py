"""A template store in S3, or in anything that speaks its protocol.

A version is the SHA-256 of the content, with `.` and the store's own version id where the bucket keeps versions: the
same version is the same bytes, whichever path or bucket they came from. No answer is asked for again here (only
a connection that was idle for too long is replaced): who waits, and how often it is tried again, the caller decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    NoCredentialsError,
    ReadTimeoutError,
)

from morpheus_kit import logs
from morpheus_kit.blobs import addresses
from morpheus_kit.blobs.base import Blob
from morpheus_kit.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError

log = logs.get_logger(__name__)

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
REQUEST_SECONDS = 15.0
LONGEST_REST_SECONDS = 16.0
CONNECTIONS = 32
PIECE_BYTES = 256 * 1024
# Files that are kept to be asked for by ETag: all of a group's templates, and the attachment that each slice of it has.
KEPT_BYTES = 64 * 1024 * 1024
_VERSION_ID = re.compile(r"[A-Za-z0-9._-]{1,63}")
# The store's own words: a 404 without them is some other server's, and says nothing about the file.
_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "KeyTooLongError"})
# A version that was deleted answers MethodNotAllowed, an id of another store's form InvalidArgument.
_ABSENT_VERSION = _ABSENT | {"MethodNotAllowed", "InvalidArgument"}


@dataclass(frozen=True, slots=True)
class S3Settings:
    """`bucket` and `prefix` are where relative paths are; `buckets` all that `s3://` paths may name."""

    bucket: str
    prefix: str
    buckets: frozenset[str]
    endpoint_url: str = ""


class Kept(NamedTuple):
    """What a key held when it was last read."""

    etag: str
    blob: Blob


class KeptFiles:
    """The latest files by bucket and key, within KEPT_BYTES."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._files: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._bytes = 0

    def get(self, place: tuple[str, str]) -> Kept | None:
        """The file as it was, if it is kept."""
        if place in self._files:
            self._files.move_to_end(place)
        return self._files.get(place)

    def put(self, place: tuple[str, str], kept: Kept) -> None:
        """Keeps it, unless it alone would take a quarter of the room."""
        self.forget(place)
        size = len(kept.blob.content)
        if not kept.etag or size > self._most_bytes // 4:
            return
        self._files[place] = kept
        self._bytes += size
        while self._bytes > self._most_bytes:
            _, oldest = self._files.popitem(last=False)
            self._bytes -= len(oldest.blob.content)

    def forget(self, place: tuple[str, str]) -> None:
        """Drops it."""
        gone = self._files.pop(place, None)
        if gone is not None:
            self._bytes -= len(gone.blob.content)


class Rest:
    """Leaves a store that does not answer alone for a while: whoever waits for it holds up others meanwhile.

    It begins with the second time-out in a row, and doubles with each further one up to LONGEST_REST_SECONDS.
    """

    def __init__(self) -> None:
        self._timeouts = 0
        self._until = 0.0

    def check(self, now: float) -> None:
        """Raises UnavailableError while it lasts; `now` in seconds of a clock that only goes forward."""
        if now < self._until:
            raise UnavailableError("The template store did not answer; it is asked again soon.")

    def answered(self) -> None:
        """The store said something."""
        self._timeouts = 0

    def timed_out(self, now: float) -> None:
        """The store said nothing. Those that were asked at the same time count as one."""
        if now < self._until:
            return
        self._timeouts += 1
        if self._timeouts > 1:
            self._until = now + min(2.0 ** (self._timeouts - 2), LONGEST_REST_SECONDS)


class S3Store:
    """One client for all buckets; a part of its service, opened at the start or by the first read."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._kept = KeptFiles()
        self._rest = Rest()
        self._opening = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._client: Any = None

    async def start(self) -> None:
        """Opens the client. A store that is away now does not keep the service from starting."""
        try:
            await self._open()
        except UnavailableError as exc:
            log.warning("template_store_waits", error=exc.message)

    async def stop(self) -> None:
        """Closes it."""
        self._client = None
        await self._stack.aclose()

    async def check(self) -> None:
        """Raises UnavailableError when the default bucket cannot be reached."""
        if self._settings.bucket:
            async with self._asking(f"bucket {self._settings.bucket}", absent=frozenset()):
                await (await self._open()).head_bucket(Bucket=self._settings.bucket)

    async def read(self, path: str, limit: int, pinned: str = "") -> Blob:
        """The content of `path`; see `TemplateStore.read`."""
        place = self._locate(path)
        sha, _, version_id = pinned.partition(".")
        found = await self._read_version(path, place, version_id, limit) if version_id else None
        if found is not None and _sha256(found) == sha:
            return Blob(found, pinned)
        blob = await self._read_present(path, place, limit)
        # The same bytes under another id, or in a bucket that keeps no versions, are as good.
        return Blob(blob.content, pinned) if sha and blob.version.partition(".")[0] == sha else blob

    async def list(self, prefix: str, limit: int) -> list[str]:
        """See `TemplateStore.list`; one request."""
        bucket, key = self._locate(prefix)
        async with self._asking(prefix, absent=frozenset()):
            client = await self._open()
            answer = await client.list_objects_v2(Bucket=bucket, Prefix=key, Delimiter="/", MaxKeys=limit)
        if answer.get("IsTruncated"):
            raise TooLargeError(f"{prefix}: more than {limit} files begin so.")
        return sorted(prefix + entry["Key"].removeprefix(key) for entry in answer.get("Contents", []))

    def _locate(self, path: str) -> tuple[str, str]:
        if path.startswith(addresses.SCHEME):
            return addresses.split_path(path, self._settings.buckets)
        if not self._settings.bucket or not addresses.is_plain(path):
            raise InvalidInputError.of("path", f"{path!r} is not a path inside the template store")
        return self._settings.bucket, f"{self._settings.prefix}/{path}" if self._settings.prefix else path

    async def _read_present(self, path: str, place: tuple[str, str], limit: int) -> Blob:
        kept = self._kept.get(place)
        condition = {"IfNoneMatch": kept.etag} if kept else {}
        try:
            async with self._asking(path):
                answer = await (await self._open()).get_object(Bucket=place[0], Key=place[1], **condition)
                content = await _content(answer, path, limit)
        except ClientError as exc:
            if kept is not None and _status(exc) == 304:
                if len(kept.blob.content) > limit:
                    raise _too_large(path, limit) from exc
                return kept.blob
            self._kept.forget(place)
            raise NotFoundError(f"{path} is not in the template store.") from exc
        blob = Blob(content, _version(content, answer.get("VersionId") or ""), answer.get("ContentType") or "")
        self._kept.put(place, Kept(answer.get("ETag") or "", blob))
        return blob

    async def _read_version(self, path: str, place: tuple[str, str], version_id: str, limit: int) -> bytes | None:
        """None when the store has it no more."""
        try:
            async with self._asking(path, _ABSENT_VERSION):
                client = await self._open()
                answer = await client.get_object(Bucket=place[0], Key=place[1], VersionId=version_id)
                return await _content(answer, path, limit)
        except ClientError:
            return None

    @contextlib.asynccontextmanager
    async def _asking(self, what: str, absent: frozenset[str] = _ABSENT) -> AsyncIterator[None]:
        """Lets a ClientError pass that means "absent" or "not modified"; whatever else goes wrong is "not now"."""
        clock = asyncio.get_running_loop().time
        self._rest.check(clock())
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                yield
            self._rest.answered()
        except ClientError as exc:
            self._rest.answered()
            if _status(exc) == 304 or _code(exc) in absent:
                raise
            raise UnavailableError(f"{what} cannot be read now: the store says {_code(exc)}.") from exc
        except NoCredentialsError as exc:
            await self._reopen()
            raise UnavailableError(f"{what} cannot be read now: there are no credentials.") from exc
        except (BotoCoreError, aiohttp.ClientError, OSError) as exc:
            if isinstance(exc, (TimeoutError, ConnectTimeoutError, ReadTimeoutError)):
                self._rest.timed_out(clock())
            raise UnavailableError(f"{what} cannot be read now: {type(exc).__name__}.") from exc

    async def _open(self) -> Any:
        """The client. What its credentials' source raises is raised by it, and by the next read again."""
        async with self._opening:
            if self._client is None:
                config = AioConfig(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    max_pool_connections=CONNECTIONS,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    s3={"addressing_style": "path"} if self._settings.endpoint_url else None,
                )
                session = aioboto3.Session(region_name=os.environ.get("AWS_REGION") or None)
                opened = session.client("s3", endpoint_url=self._settings.endpoint_url or None, config=config)
                async with self._asking("the template store"):
                    self._client = await self._stack.enter_async_context(opened)
            return self._client

    async def _reopen(self) -> None:
        """A client without credentials never asks for them again: the next read makes another."""
        if not self._opening.locked():
            await self.stop()


async def _content(answer: dict[str, Any], path: str, limit: int) -> bytes:
    """All of the body; TooLargeError before more than `limit` bytes are held."""
    pieces: list[bytes] = []
    size = 0
    body = answer["Body"]
    async with body:  # what is not read to its end is closed
        if answer.get("ContentLength", 0) > limit:
            raise _too_large(path, limit)
        while piece := await body.read(PIECE_BYTES):
            size += len(piece)
            if size > limit:
                raise _too_large(path, limit)
            pieces.append(piece)
    return b"".join(pieces)


def _too_large(path: str, limit: int) -> TooLargeError:
    return TooLargeError(f"{path} is larger than {limit} bytes.")


def _version(content: bytes, version_id: str) -> str:
    sha = _sha256(content)
    return f"{sha}.{version_id}" if _VERSION_ID.fullmatch(version_id) else sha


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


def _status(exc: ClientError) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
