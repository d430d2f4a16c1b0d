"""The connection to Elasticsearch: one client, its failures as what they mean, template and indices."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from elastic_transport import ObjectApiResponse, TlsError
from elasticsearch import ApiError, AsyncElasticsearch, SerializationError, TransportError, UnsupportedProductError
from elasticsearch.serializer import CompatibilityModeJsonSerializer, CompatibilityModeNdjsonSerializer

from morpheus_kit import logs
from morpheus_kit.config import ConfigError
from services.tracker.store.base import StoreDownError
from services.tracker.store.elastic_mappings import MAPPINGS, VERSION, feed_template, index_of, pattern, template

log = logs.get_logger(__name__)

REQUEST_SECONDS: Final = 30.0
_MAJOR: Final = 9
_OURS: Final = frozenset([400, 413])
"""What is wrong with a request itself. Everything else, a proxy's 404 too, an operator or time can cure."""
_HOW: Final = "see docs/elasticsearch.md."


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where the cluster is, and how its indices are made. `url` may hold name and password: it is a secret."""

    url: str
    authority: str = ""
    """File of the certificate authority; empty: those of the system."""
    shards: int = 1
    replicas: int = 1
    prefix: str = "morpheus"
    request_seconds: float = REQUEST_SECONDS


class _Json(CompatibilityModeJsonSerializer):
    """Answers hold documents by the thousand."""

    def json_loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class _Lines(CompatibilityModeNdjsonSerializer):
    """Requests of many documents are bytes already, and large."""

    def dumps(self, data: Any) -> bytes:
        return data if isinstance(data, bytes) else super().dumps(data)


class Cluster:
    """One cluster. Every request has a deadline and is sent once."""

    def __init__(self, options: ClusterOptions) -> None:
        """Nothing is sent yet. ConfigError when the authority's file cannot be used."""
        self.prefix = options.prefix
        self.pattern = pattern(options.prefix)
        self.replicas = options.replicas
        self._options = options
        self._ready = False
        self._indices: set[str] = set()
        parts = urlsplit(options.url)
        secure: dict[str, Any] = {"ssl_context": _trusting(options.authority)} if parts.scheme == "https" else {}
        self.client = AsyncElasticsearch(
            f"{parts.scheme}://{_netloc(parts.hostname or '', parts.port)}{parts.path}",
            basic_auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
            request_timeout=options.request_seconds,
            max_retries=0,
            retry_on_timeout=False,
            connections_per_node=20,
            serializers={each.mimetype: each for each in (_Json(), _Lines())},
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
        except StoreDownError as exc:
            if (mistake := _mistake(exc.__cause__)) is not None:
                raise mistake from None
            raise
        except ApiError as exc:
            raise ConfigError(
                f"MORPHEUS_RECORDS_URL: Elasticsearch refuses the schema: {explain(exc.body)}; {_HOW}"
            ) from None
        self._ready = True

    async def ready(self) -> None:
        """Before each request: as `prepare`, but what is wrong may be put right while the service lives."""
        try:
            await self.prepare()
        except ConfigError as exc:
            raise StoreDownError(str(exc)) from exc

    async def index(self, month: str) -> str:
        """The index of `YYYYMM`, made where it is missing. StoreDownError."""
        return await self.make(index_of(self.prefix, month))

    async def make(self, name: str) -> str:
        """An index that a template describes, made where it is missing. StoreDownError."""
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

    def forget_schema(self) -> None:
        """An index lacks fields, as one does that was restored: they are added before the next write."""
        self._ready = False

    async def _check(self) -> None:
        """Credentials that are refused at the start are a mistake of the configuration, not an outage."""
        answer = await self.client.options(ignore_status=[400, 401, 403, 406]).info()
        if answer.meta.status in {401, 403}:
            raise ConfigError(
                f"MORPHEUS_RECORDS_URL: Elasticsearch refuses this user and password ({answer.meta.status}); put right "
                "what the URL, or the file that MORPHEUS_RECORDS_URL_FILE names, says."
            )
        number = str(answer.get("version", {}).get("number", "an older one"))
        if not number.startswith(f"{_MAJOR}."):
            raise ConfigError(f"MORPHEUS_RECORDS_URL: Elasticsearch {_MAJOR} is needed, this is {number}; {_HOW}")

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
        templates = {
            name: template(name, self._options.shards, self._options.replicas),
            f"{name}-events": feed_template(name, self._options.replicas),
        }
        for each, body in templates.items():
            _allowed(await client.indices.put_index_template(name=each, **body), "index templates")
        added = await client.indices.put_mapping(index=self.pattern, properties=MAPPINGS["properties"])
        _allowed(added, "the indices")


@contextmanager
def answering() -> Iterator[None]:
    """StoreDownError for everything that may pass; what is wrong with the request itself goes through."""
    try:
        yield
    except UnsupportedProductError as exc:
        raise StoreDownError("what answers is not Elasticsearch") from exc
    except ApiError as exc:
        if exc.meta.status not in _OURS:
            raise StoreDownError(f"{exc.meta.status} {explain(exc.body)}") from exc
        raise
    except SerializationError as exc:  # its words are the answer's, which may be somebody's data
        raise StoreDownError("what answers is not JSON") from exc
    except TransportError as exc:
        raise StoreDownError(f"{type(exc).__name__}: {exc.message}") from exc


def explain(body: Any) -> str:
    """What an error says, without what stood in the document."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return str(error)[:200]
    reason = str(error.get("reason") or "").partition(" Preview of field's value")[0]
    return f"{error.get('type', 'error')}: {reason[:300]}"


def _allowed(answer: ObjectApiResponse[Any], what: str) -> None:
    """A block of an index is put right by who set it; missing privileges are a mistake of the configuration."""
    if answer.meta.status != HTTPStatus.FORBIDDEN:
        return
    if "cluster_block" in explain(answer.body):
        raise StoreDownError(explain(answer.body))
    raise ConfigError(f"MORPHEUS_RECORDS_URL: this user may not manage {what}; {_HOW}")


def _trusting(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority or None)
    except (OSError, ssl.SSLError) as exc:
        reason = "it holds no PEM certificate" if isinstance(exc, ssl.SSLError) else exc.strerror
        raise ConfigError(f"MORPHEUS_RECORDS_AUTHORITY: {authority} cannot be used: {reason}.") from None


def _mistake(cause: BaseException | None) -> ConfigError | None:
    """What no time can cure at the start."""
    if isinstance(cause, UnsupportedProductError):
        return ConfigError(f"MORPHEUS_RECORDS_URL: this is not Elasticsearch; {_HOW}")
    if isinstance(cause, TlsError):
        return ConfigError(
            "MORPHEUS_RECORDS_URL: there is no trusted https there. If its certificate is of an authority of your own, "
            f"MORPHEUS_RECORDS_AUTHORITY must name that authority's PEM file. ({_tls_reason(cause)})"
        )
    return None


def _tls_reason(error: BaseException) -> str:
    """The words of the TLS library, which know of certificates and hosts only."""
    innermost = error
    while (cause := innermost.__cause__ or innermost.__context__) is not None:
        innermost = cause
    told = getattr(innermost, "verify_message", "") or getattr(innermost, "reason", "")
    return str(told or "the handshake failed")


def _netloc(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port or 9200}"
