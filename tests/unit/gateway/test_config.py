from pathlib import Path

from gateway.config import Config


def test_what_is_not_set_follows_home_and_port() -> None:
    config = Config.load({"MORPHEUS_HOME": "/srv/m", "MORPHEUS_PORT": "8123"})
    assert config.base_url == "http://127.0.0.1:8123"
    assert config.keys_path == Path("/srv/m/keys.toml")
    assert config.outbox is None


def test_what_is_set_counts() -> None:
    config = Config.load({"MORPHEUS_PUBLIC_URL": "https://mail.example.com/", "MORPHEUS_KEYS_FILE": "/etc/keys.toml"})
    assert config.base_url == "https://mail.example.com"
    assert config.keys_path == Path("/etc/keys.toml")
