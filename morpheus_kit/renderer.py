"""The renderer as its callers see it: what all of them do alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
import grpc.aio
from morpheus.renderer.v1 import renderer_pb2, renderer_pb2_grpc

from morpheus_kit.errors import ThrottledError, UnavailableError
from morpheus_kit.rpc.client import open_channel
from morpheus_kit.rpc.status import from_rpc_error

_WARM_SECONDS = 30.0


class RendererClient:
    """A part of a unit. Raises the kit's errors, UnavailableError also where the renderer is busy."""

    def __init__(self, address: str) -> None:
        """`host:port` or `dns:///name:port`."""
        self._address = address
        self._channel: grpc.aio.Channel | None = None
        self._opened: renderer_pb2_grpc.RendererServiceAsyncStub | None = None

    async def start(self) -> None:
        """Opens the channel; it connects when it is used."""
        self._channel = open_channel(self._address)
        self._opened = renderer_pb2_grpc.RendererServiceStub(self._channel)

    async def stop(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def warm(self, paths: Sequence[str]) -> renderer_pb2.WarmTemplatesResponse:
        """Loads templates; a missing one is named in the answer."""
        request = renderer_pb2.WarmTemplatesRequest(paths=paths)
        with renderer_errors():
            return await self._stub.WarmTemplates(request, timeout=_WARM_SECONDS)

    @property
    def _stub(self) -> renderer_pb2_grpc.RendererServiceAsyncStub:
        assert self._opened is not None  # noqa: S101  started before it is used
        return self._opened


@contextmanager
def renderer_errors() -> Iterator[None]:
    """Makes what a call raises one of the kit's errors. A renderer that is busy is away for a while."""
    try:
        yield
    except grpc.RpcError as exc:
        error = from_rpc_error(exc)
        if isinstance(error, ThrottledError):
            raise UnavailableError("The renderer is busy.", retry_after=error.retry_after) from exc
        raise error from exc
