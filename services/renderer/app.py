"""Wires the renderer together."""

from __future__ import annotations

from pathlib import Path

from morpheus_kit.blobs import open_store
from morpheus_kit.clock import SystemClock
from morpheus_kit.lifecycle import Unit
from morpheus_kit.rpc.server import RpcServer
from services.renderer.backlog import Backlog
from services.renderer.catalog import Catalog
from services.renderer.config import Config
from services.renderer.files import GroupFiles
from services.renderer.inspection import Inspector
from services.renderer.pool import PoolLimits, WorkerPool
from services.renderer.preview import Previewer
from services.renderer.service import RendererService
from services.renderer.shared_cache import OwnedCache
from services.renderer.slices import SliceRunner


def build(config: Config) -> Unit:
    """The service as its parts: store and workers first, then the server that needs them."""
    cache = OwnedCache.create(
        Path(config.template_cache) if config.template_cache else None, config.template_cache_bytes
    )
    store = open_store(config.store_url, buckets=config.s3_buckets, endpoint_url=config.s3_endpoint_url)
    limits = PoolLimits(
        config.worker_count, config.render_timeout, config.render_memory, config.render_recycle, config.settings
    )
    pool = WorkerPool(cache, limits)
    catalog = Catalog(store, cache, pool.compile, SystemClock(), config.seconds_seen)
    slices = SliceRunner(pool, catalog, GroupFiles(store, config.max_message), Backlog(config.render_backlog))
    previewer = Previewer(downgrade=config.sms_downgrade)
    service = RendererService(catalog, slices, Inspector(store, pool.describe), previewer)
    server = RpcServer(config.renderer_addr, service.register)
    return Unit(config.service, [store, pool, server], grace_seconds=config.grace)
