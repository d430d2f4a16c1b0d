"""A real S3 server (versitygw), and a small proxy before it that breaks what passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aioboto3
import aiohttp
from aiohttp import web
from yarl import URL

from tests.servers import binary, free_port, running

ACCESS_KEY, SECRET_KEY = "access", "a-secret-of-the-tests"
SLOW_DOWN = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.'
    "</Message></Error>"
)
ANSWERS = {
    "slow_down": (503, SLOW_DOWN),
    "error": (500, SLOW_DOWN.replace("SlowDown", "InternalError")),
    "not_s3": (404, "<html><body>no such page</body></html>"),
    "empty_404": (404, ""),
}


def credentials(access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> dict[str, str]:
    """The environment of a client, with no other source of credentials."""
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


@dataclass(frozen=True)
class Gateway:
    """The server's address, and buckets to fill from outside."""

    url: str

    @asynccontextmanager
    async def bucket(self, name: str, *, versions: bool) -> AsyncIterator[Bucket]:
        """A new bucket."""
        session = aioboto3.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
        async with session.client("s3", endpoint_url=self.url) as client:
            await client.create_bucket(Bucket=name)
            if versions:
                await client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
            yield Bucket(name, client)


@dataclass(frozen=True)
class Bucket:
    """What an author of templates does."""

    name: str
    client: Any

    async def put(self, key: str, content: str | bytes) -> str:
        """The new version's id, where the bucket keeps versions."""
        body = content.encode() if isinstance(content, str) else content
        answer = await self.client.put_object(Bucket=self.name, Key=key, Body=body)
        return str(answer.get("VersionId", ""))

    async def delete(self, key: str, version_id: str = "") -> None:
        """One version for good; without it the key, whose versions stay."""
        version = {"VersionId": version_id} if version_id else {}
        await self.client.delete_object(Bucket=self.name, Key=key, **version)


@contextmanager
def serve(folder: Path) -> Iterator[Gateway]:
    """A running server whose data is in `folder`."""
    for name in ("data", "versions", "iam"):
        (folder / name).mkdir()
    port = free_port()
    # Without --iam-dir an unknown access key is a 404; without --versioning-dir there are no versions.
    command = [binary("versitygw"), "--port", f"127.0.0.1:{port}", "--quiet", "--iam-dir", str(folder / "iam")]
    command += ["posix", "--versioning-dir", str(folder / "versions"), str(folder / "data")]
    with running(command, port, {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}):
        yield Gateway(f"http://127.0.0.1:{port}")


class Request(NamedTuple):
    """What came through the proxy, and the status that went back; 0 where none did."""

    key: str
    condition: str
    status: int


@dataclass
class Proxy:
    """Passes requests on as they are, or breaks them as `fault` says."""

    upstream: str
    url: str = ""
    fault: str = ""
    """Empty, `slow_down`, `error`, `not_s3`, `empty_404`, `reset`, `hang` or `cut`."""
    only: str = ""
    """Where it is not empty, only keys that end so are broken."""
    seen: list[Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        broken = self.fault if request.path.endswith(self.only) else ""
        if broken in ANSWERS:
            status, text = ANSWERS[broken]
            self._note(request, status)
            return web.Response(status=status, text=text, content_type="application/xml")
        if broken in {"hang", "reset"}:
            self._note(request, 0)
        if broken == "hang":
            await asyncio.sleep(60)
        if broken == "reset":
            return _abort(request)
        return await self._pass(request, cut=broken == "cut")

    async def _pass(self, request: web.Request, *, cut: bool) -> web.StreamResponse:
        url = URL(self.upstream + request.raw_path, encoded=True)
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(request.method, url, headers=request.headers, data=await request.read()) as answer,
        ):
            content = await answer.read()
        self._note(request, answer.status)
        headers = answer.headers.copy()
        headers.popall("Transfer-Encoding", None)
        if not cut:
            return web.Response(status=answer.status, headers=headers, body=content or None)
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        return _abort(request, response)

    def _note(self, request: web.Request, status: int) -> None:
        key = request.path.removeprefix("/").partition("/")[2]
        self.seen.append(Request(key, request.headers.get("If-None-Match", ""), status))


def _abort(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return response or web.Response()


@asynccontextmanager
async def proxy_before(upstream: str) -> AsyncIterator[Proxy]:
    """A running proxy."""
    proxy = Proxy(upstream)
    app = web.Application()
    app.router.add_route("*", "/{key:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", free_port())
    await site.start()
    proxy.url = site.name
    try:
        yield proxy
    finally:
        await runner.cleanup()
