import base64
import hashlib
import tomllib
from pathlib import Path

from local import keys

URL = "http://127.0.0.1:8000"


def test_first_start_makes_one_key_that_may_do_everything(tmp_path: Path) -> None:
    keys.ensure_keys(tmp_path, tmp_path / "keys.toml", URL)
    client = keys.read_client(tmp_path)
    assert client is not None
    (key,) = tomllib.loads((tmp_path / "keys.toml").read_text())["keys"]
    assert key == {
        "id": "default",
        "secrets": [client.secret],
        "token_sha256": [hashlib.sha256(client.token.encode()).hexdigest()],
        "scopes": ["send", "read", "operate", "admin"],
        "company_codes": ["*"],
    }
    assert 24 <= len(base64.b64decode(client.secret.removeprefix("whsec_"), validate=True)) <= 64


def test_files_with_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    keys.ensure_keys(tmp_path, tmp_path / "keys.toml", URL)
    keys.ensure_secret(tmp_path, "token_secret")
    for name in ("keys.toml", "client.toml", "token_secret"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_key_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("# mine\n")
    keys.ensure_keys(tmp_path, tmp_path / "keys.toml", URL)
    assert (tmp_path / "keys.toml").read_text() == "# mine\n"
    assert not (tmp_path / "client.toml").exists()


def test_client_file_follows_the_port(tmp_path: Path) -> None:
    keys.ensure_keys(tmp_path, tmp_path / "keys.toml", URL)
    before = keys.read_client(tmp_path)
    keys.ensure_keys(tmp_path, tmp_path / "keys.toml", "http://127.0.0.1:8001")
    assert before is not None
    assert keys.read_client(tmp_path) == before._replace(url="http://127.0.0.1:8001")


def test_client_file_of_another_shape_is_left_alone(tmp_path: Path) -> None:
    keys.ensure_keys(tmp_path, tmp_path / "keys.toml", URL)
    (tmp_path / "client.toml").write_text('url = "https://mail.example.com"\n')
    keys.ensure_keys(tmp_path, tmp_path / "keys.toml", "http://127.0.0.1:8001")
    assert (tmp_path / "client.toml").read_text() == 'url = "https://mail.example.com"\n'


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = keys.ensure_secret(tmp_path, "token_secret")
    assert len(first) == 64
    assert keys.ensure_secret(tmp_path, "token_secret") == first
