"""gRPC channels to other services: no retries by the library, round-robin over addresses."""

from __future__ import annotations

import grpc.aio

from morpheus_kit.rpc.server import OPTIONS


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to `host:port` or `dns:///name:port`. Close it when done."""
    options = [
        *[option for option in OPTIONS if option[0] != "grpc.so_reuseport"],
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.aio.insecure_channel(address, options=options)
