"""The gRPC server of every service: health, limits, and one place where errors become statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from morpheus_kit import errors, logs
from morpheus_kit.rpc import status

log = logs.get_logger(__name__)

MESSAGE_LIMIT = 32 * 1024 * 1024
METADATA_LIMIT = 64 * 1024
OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    # A refusal names up to a hundred fields in the trailing metadata; by default 8 KiB would fit.
    ("grpc.max_metadata_size", METADATA_LIMIT),
    ("grpc.absolute_max_metadata_size", METADATA_LIMIT),
    ("grpc.enable_retries", 0),
    ("grpc.so_reuseport", 0),
]


class RpcServer:
    """A part of a unit: serves `grpc.health.v1` and what `register` adds."""

    def __init__(
        self,
        address: str,
        register: Callable[[grpc.aio.Server], None],
        *,
        grace_seconds: float = 5.0,
    ) -> None:
        """`address` as `127.0.0.1:50051`; port 0 takes a free one, see `port`."""
        self._address = address
        self._register = register
        self._grace = grace_seconds
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()
        self.port = 0

    async def start(self) -> None:
        """Binds the port and answers SERVING."""
        server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=OPTIONS)
        self._register(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        self.port = server.add_insecure_port(self._address)
        await server.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._server = server
        log.info("rpc_server_started", address=self._address, port=self.port)

    async def stop(self) -> None:
        """Answers NOT_SERVING, lets calls end, closes."""
        if self._server is None:
            return
        await self._health.enter_graceful_shutdown()
        await self._server.stop(self._grace)
        self._server = None


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns our errors into statuses; anything else into INTERNAL with an id."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the handler of whatever kind."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        make = _FACTORIES[handler.request_streaming, handler.response_streaming]
        inner = getattr(handler, _ATTRIBUTES[handler.request_streaming, handler.response_streaming])
        wrap = _wrap_stream if handler.response_streaming else _wrap_unary
        return make(
            wrap(inner, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


_FACTORIES: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
_ATTRIBUTES = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def _wrap_unary(inner: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await inner(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as exc:  # noqa: BLE001  the kit's interceptor: nothing may leak
            await context.abort_with_status(_status(exc, method))

    return call


def _wrap_stream(inner: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def call(
        request: Any,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[Any]:
        try:
            async for response in inner(request, context):
                yield response
        except grpc.aio.AbortError:
            raise
        except Exception as exc:  # noqa: BLE001  the kit's interceptor: nothing may leak
            await context.abort_with_status(_status(exc, method))

    return call


def _status(exc: Exception, method: str) -> grpc.Status:
    if isinstance(exc, errors.MorpheusError) and type(exc) is not errors.MorpheusError:
        return status.to_status(exc)
    result, error_id = status.internal_status()
    log.error("rpc_failed", method=method, error_id=error_id, exc_info=exc)
    return result
