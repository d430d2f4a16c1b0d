"""A cluster that a tracker must not start with: what it says, and what it never says."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from morpheus_kit.clock import ManualClock
from morpheus_kit.config import ConfigError
from morpheus_kit.queue.outcomes import Outcome
from services.tracker.store.elastic import ElasticsearchStore
from services.tracker.store.elastic_client import ClusterOptions
from services.tracker.store.privacy import Erasure
from tests.conformance.keeping_cases import RETENTION
from tests.conformance.samples import T0, event, group, record, reference
from tests.elasticsearch.node import running_node
from tests.elasticsearch.proxy import Fault, running_proxy
from tests.trackers import refused_tracker
from tests.valkey import running_valkey

CERTIFICATE = Path(__file__).parents[1] / "integration" / "dispatcher" / "localhost.pem"
PASSWORD, AS_IN_A_URL = "s3cret/pass", "s3cret%2Fpass"
ROLES = """
tracker:  # as docs/elasticsearch.md has it
  cluster: [monitor, manage_index_templates]
  indices:
    - {names: ["morpheus-*"], privileges: [create_index, manage, read, write, view_index_metadata]}
    - {names: ["message-*"], privileges: [manage]}
reader:
  cluster: [monitor]
  indices:
    - {names: ["morpheus-*"], privileges: [read]}
"""


@pytest.fixture(scope="module")
def secure_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node that asks who is there: `tracker` and `reader`."""
    folder = tmp_path_factory.mktemp("secure")
    for block in re.findall(r"-----BEGIN .*?-----END [A-Z ]+-----\n", CERTIFICATE.read_text(), re.DOTALL):
        (folder / ("key.pem" if "PRIVATE" in block else "certificate.pem")).write_text(block)
    salt = os.urandom(32)
    derived = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 1_000, 32)
    word = "{PBKDF2}1000$" + "$".join(base64.b64encode(each).decode() for each in (salt, derived))
    (folder / "users").write_text(f"tracker:{word}\nreader:{word}\n")
    (folder / "users_roles").write_text("tracker:tracker\nreader:reader\n")
    (folder / "roles.yml").write_text(ROLES)
    with running_node(folder) as url:
        yield url


def as_user(url: str, name: str = "tracker", password: str = AS_IN_A_URL) -> str:
    return url.replace("//", f"//{name}:{password}@")


async def said(url: str, authority: Path | None = CERTIFICATE) -> str:
    """What the store says when it refuses to start."""
    options = ClusterOptions(url, str(authority or "") if url.startswith("https:") else "")
    store = ElasticsearchStore(options, ManualClock(T0))
    with pytest.raises(ConfigError) as caught:
        await store.start()
    words = f"{caught.value} {caught.value.__cause__!r}"
    assert "s3cret" not in words
    assert "wrong" not in words
    return str(caught.value)


async def test_documented_privileges_and_an_authority_of_ones_own_are_enough(secure_url: str) -> None:
    options = ClusterOptions(as_user(secure_url), str(CERTIFICATE), replicas=0)
    clock = ManualClock(T0 + 10_000)
    store = ElasticsearchStore(options, clock, RETENTION)
    await store.start()
    await store.write(Outcome([group(), group("brief")], [record(0)], [event(0)]))
    await store.make_months()
    await store.update_aliases()
    assert await store.all_suppressions(None, 10) == []
    await store.messages_to("acme", ["nobody"], 1)  # what was written is found from here on
    found = await store.group("acme", "june")
    assert found is not None
    assert [item.type for item in await store.changes("acme", "", 10)] == ["sent"]
    await store.drop_old_events()
    await store.add_erasure(Erasure("acme", b"x" * 16, T0))
    assert await store.erase("acme", [reference(0)]) == 1
    await store.tidy()
    clock.advance(100 * 86_400)
    await store.messages_to("acme", ["nobody"], 1)
    assert await store.drop_over(10) == 1
    clock.advance(1000 * 86_400)
    assert await store.drop_over(10) == 1
    await store.stop()


@pytest.mark.parametrize("url", [("tracker", "wrong"), ("nobody", AS_IN_A_URL)])
async def test_refused_user_or_password_says_where_they_stand(secure_url: str, url: tuple[str, str]) -> None:
    words = await said(as_user(secure_url, *url))
    assert words.startswith("MORPHEUS_RECORDS_URL: Elasticsearch refuses this user and password (401)")
    assert "MORPHEUS_RECORDS_URL_FILE" in words


async def test_missing_privileges_are_named(secure_url: str) -> None:
    words = await said(as_user(secure_url, "reader"))
    assert words == "MORPHEUS_RECORDS_URL: this user may not manage index templates; see docs/elasticsearch.md."


async def test_certificate_that_nobody_trusts_names_the_setting(secure_url: str) -> None:
    words = await said(as_user(secure_url), None)
    assert words.startswith("MORPHEUS_RECORDS_URL: ")
    assert "MORPHEUS_RECORDS_AUTHORITY must name" in words
    assert "self-signed certificate" in words


async def test_certificate_of_another_host_is_refused_before_the_password_is_told(node_url: str) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    with running_proxy(node_url, tls, host="127.0.0.2") as proxy:
        words = await said(as_user(proxy.url))
        assert proxy.requests == 0
    assert "127.0.0.2" in words


async def test_https_to_what_speaks_http_is_named(node_url: str) -> None:
    words = await said(as_user(node_url.replace("http:", "https:")))
    assert words.startswith("MORPHEUS_RECORDS_URL: there is no trusted https there.")


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_authority_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authority.pem"
    if content is not None:
        path.write_text(content)
    words = await said("https://127.0.0.1:9", path)
    assert words.startswith(f"MORPHEUS_RECORDS_AUTHORITY: {path} cannot be used: ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"version": {"number": "8.19.0"}}', "Elasticsearch 9 is needed, this is 8.19.0"),
        ('{"error": {"type": "media_type_header_exception"}, "status": 400}', "9 is needed, this is an older one"),
        ("<html>Welcome</html>", "this is not Elasticsearch"),
    ],
)
async def test_other_version_or_product_is_named(node_url: str, body: str, told: str) -> None:
    with running_proxy(node_url) as proxy:
        proxy.fault = Fault(400 if "error" in body else 200, body)
        words = await said(as_user(proxy.url))
    assert words.startswith("MORPHEUS_RECORDS_URL: ")
    assert told in words


async def test_tracker_ends_with_one_line(secure_url: str, tmp_path: Path) -> None:
    """As an operator meets it: its exit code, and all that it printed."""
    url, more = as_user(secure_url, password="wrong"), {"MORPHEUS_RECORDS_AUTHORITY": str(CERTIFICATE)}
    with running_valkey(tmp_path) as redis_url:
        code, printed = await refused_tracker(redis_url, url, more)
    told = "services.tracker: MORPHEUS_RECORDS_URL: Elasticsearch refuses this user and password (401)"
    assert (code, printed.splitlines()[-1].startswith(told)) == (2, True)
    assert "Traceback" not in printed
    assert "wrong" not in printed
