"""The connection to Elasticsearch: one client, its failures as what they mean, template and indices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from elasticsearch import ApiError, AsyncElasticsearch, TransportError, UnsupportedProductError

from morpheus_kit import logs
from morpheus_kit.config import ConfigError
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic_mappings import MAPPINGS, VERSION, index_of, pattern, template

log = logs.get_logger(__name__)

REQUEST_SECONDS: Final = 30.0
_MAJOR: Final = 9
_LATER: Final = frozenset([401, 403, 408, 429, 500, 502, 503, 504])
"""What an operator or time can cure; the request itself is right."""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where the cluster is, and how its indices are made. `url` may hold name and password: it is a secret."""

    url: str
    authority: str = ""
    """File of the certificate authority; empty: those of the system."""
    shards: int = 1
    replicas: int = 1
    prefix: str = "morpheus"


class Cluster:
    """One cluster. Every request has a deadline and is sent once."""

    def __init__(self, options: ClusterOptions) -> None:
        """Nothing is sent yet."""
        self.prefix = options.prefix
        self.pattern = pattern(options.prefix)
        self.replicas = options.replicas
        self._options = options
        self._ready = False
        self._indices: set[str] = set()
        parts = urlsplit(options.url)
        secure: dict[str, Any] = {"ca_certs": options.authority} if options.authority else {}
        self.client = AsyncElasticsearch(
            f"{parts.scheme}://{_netloc(parts.hostname or '', parts.port)}{parts.path}",
            basic_auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
            request_timeout=REQUEST_SECONDS,
            max_retries=0,
            retry_on_timeout=False,
            connections_per_node=20,
            **secure,
        )

    async def close(self) -> None:
        """Closes its connections."""
        await self.client.close()

    async def prepare(self) -> None:
        """Checks the cluster, and brings the template and all indices up to date; once.

        ConfigError when this can never work, StoreDownError when it may work later.
        """
        if self._ready:
            return
        try:
            with answering():
                await self._check()
                await self._migrate()
        except UnsupportedProductError as exc:
            raise ConfigError("MORPHEUS_RECORDS_URL: this is not Elasticsearch.") from exc
        except ApiError as exc:
            raise ConfigError(f"MORPHEUS_RECORDS_URL: Elasticsearch refuses the schema: {explain(exc.body)}") from exc
        self._ready = True

    async def ready(self) -> None:
        """Before each request: as `prepare`, but what is wrong may be put right while the service lives."""
        try:
            await self.prepare()
        except ConfigError as exc:
            raise StoreDownError(str(exc)) from exc

    async def index(self, month: str) -> str:
        """The index of `YYYYMM`, made where it is missing. StoreDownError."""
        name = index_of(self.prefix, month)
        if name not in self._indices:
            with answering():
                answer = await self.client.options(ignore_status=400).indices.create(index=name)
                if "error" in answer and answer["error"].get("type") != "resource_already_exists_exception":
                    raise StoreDownError(explain(answer.body))
                # Another tracker may have made it a moment ago.
                await self.client.cluster.health(index=name, wait_for_active_shards="1", timeout="10s")
            self._indices.add(name)
        return name

    def forget_index(self, name: str) -> None:
        """It is gone; the next write makes it again."""
        self._indices.discard(name)

    async def _check(self) -> None:
        """Credentials that are refused at the start are a mistake of the configuration, not an outage."""
        answer = await self.client.options(ignore_status=[400, 401, 403, 406]).info()
        if answer.meta.status in {401, 403}:
            raise ConfigError("MORPHEUS_RECORDS_URL: Elasticsearch refuses this name and password.")
        number = str(answer.get("version", {}).get("number", "an older one"))
        if not number.startswith(f"{_MAJOR}."):
            raise ConfigError(f"MORPHEUS_RECORDS_URL: Elasticsearch {_MAJOR} is needed, this is {number}.")

    async def _migrate(self) -> None:
        """Fields are only ever added, so a newer template is left as it is."""
        client, name = self.client.options(ignore_status=[403, 404]), self.prefix
        found = await client.indices.get_index_template(name=name)
        known = 0
        if found.meta.status == 200:
            known = found["index_templates"][0]["index_template"].get("version", 0)
        if known > VERSION:
            log.info("records_template_is_newer", version=known)
            return
        body = template(name, self._options.shards, self._options.replicas)
        put = await client.indices.put_index_template(name=name, **body)
        if put.meta.status == 403:
            raise ConfigError(
                "MORPHEUS_RECORDS_URL: this user may not manage index templates; see docs/elasticsearch.md."
            )
        added = await client.indices.put_mapping(index=self.pattern, properties=MAPPINGS["properties"])
        if added.meta.status == 403:
            raise ConfigError("MORPHEUS_RECORDS_URL: this user may not manage the indices; see docs/elasticsearch.md.")


@contextmanager
def answering() -> Iterator[None]:
    """StoreDownError for everything that may pass; what is wrong with the request itself goes through."""
    try:
        yield
    except UnsupportedProductError:
        raise
    except ApiError as exc:
        if exc.meta.status in _LATER or "cluster_block" in explain(exc.body):
            raise StoreDownError(f"{exc.meta.status} {explain(exc.body)}") from exc
        raise
    except TransportError as exc:
        raise StoreDownError(f"{type(exc).__name__}: {exc.message}") from exc


def explain(body: Any) -> str:
    """What an error says, without what stood in the document."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return str(error)[:200]
    reason = str(error.get("reason") or "").partition(" Preview of field's value")[0]
    return f"{error.get('type', 'error')}: {reason[:300]}"


def _netloc(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port or 9200}"
