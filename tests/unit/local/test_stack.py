import socket
from pathlib import Path
from unittest.mock import Mock

import pytest

from local import redis, stack
from local.stack import loopback_addresses


@pytest.fixture(autouse=True)
def _addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stack, "loopback_addresses", lambda count, besides: [f"127.0.0.1:{9001 + i}" for i in range(count)]
    )


HOME = Path("/somewhere/morpheus")


def test_children_get_the_settings_of_the_configuration_table() -> None:
    env = stack.environment(HOME, 8010, {"PATH": "/bin"})
    assert env == {
        "PATH": "/bin",
        "PYTHONUNBUFFERED": "1",
        "MORPHEUS_HOME": "/somewhere/morpheus",
        "MORPHEUS_PORT": "8010",
        "MORPHEUS_PUBLIC_URL": "http://127.0.0.1:8010",
        "MORPHEUS_KEYS_FILE": "/somewhere/morpheus/keys.toml",
        "MORPHEUS_REDIS_URL": "unix:///somewhere/morpheus/redis/valkey.sock",
        "MORPHEUS_PARTITIONS": "1",
        "MORPHEUS_TEMPLATES_URL": "file:///somewhere/morpheus/templates",
        "MORPHEUS_RECORDS_URL": "sqlite:////somewhere/morpheus/records.db",
        "MORPHEUS_METHODS": "test",
        "MORPHEUS_OUTBOX": "/somewhere/morpheus/outbox",
        "MORPHEUS_RENDERER_ADDR": "127.0.0.1:9001",
        "MORPHEUS_TRACKER_ADDR": "127.0.0.1:9002",
        "MORPHEUS_INTAKE_ADDR": "127.0.0.1:9003",
        "MORPHEUS_DISPATCHER_ADDR": "127.0.0.1:9004",
    }


def test_no_service_gets_the_port_of_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = iter([9001, 8010, 9002])

    def create_server(address: tuple[str, int]) -> Mock:
        return Mock(getsockname=Mock(return_value=(address[0], next(ports))))

    monkeypatch.setattr(socket, "create_server", create_server)
    assert loopback_addresses(2, besides=8010) == ["127.0.0.1:9001", "127.0.0.1:9002"]


def test_what_the_caller_has_set_wins_but_not_over_home_and_port() -> None:
    given = {"MORPHEUS_PUBLIC_URL": "https://mail.example.com", "MORPHEUS_PORT": "1", "MORPHEUS_HOME": "/else"}
    env = stack.environment(HOME, 8010, given)
    assert env["MORPHEUS_PUBLIC_URL"] == "https://mail.example.com"
    assert (env["MORPHEUS_PORT"], env["MORPHEUS_HOME"]) == ("8010", "/somewhere/morpheus")


def test_setting_given_as_a_file_gets_no_default_beside_it() -> None:
    env = stack.environment(HOME, 8010, {"MORPHEUS_REDIS_URL_FILE": "/run/redis"})
    assert "MORPHEUS_REDIS_URL" not in env


@pytest.mark.parametrize(
    ("given", "methods"),
    [
        ({}, "test"),
        ({"MORPHEUS_SMTP_URL": "smtp://mail:25"}, "test,smtp,email"),
        ({"MORPHEUS_SMTP_URL_FILE": "/run/smtp"}, "test,smtp,email"),
        ({"MORPHEUS_SMTP_URL": ""}, "test"),
        ({"MORPHEUS_BIRD_KEY": "k"}, "test,sms"),
        ({"MORPHEUS_TWILIO_ACCOUNT_SID": "AC1", "MORPHEUS_SMTP_URL": "smtp://mail:25"}, "test,smtp,email,sms"),
        ({"MORPHEUS_MANDRILL_KEY_FILE": "/run/key"}, "test,mandrill,email"),
        ({"MORPHEUS_SMTP_URL": "smtp://mail:25", "MORPHEUS_SES_CONFIGURATION_SET": "a"}, "test,ses,smtp,email"),
    ],
)
def test_methods_follow_the_configured_providers(given: dict[str, str], methods: str) -> None:
    assert stack.methods(given) == methods


def test_programs_start_in_the_order_of_their_dependencies() -> None:
    env = stack.environment(HOME, 8010, {})
    stages = [[program.name for program in stage] for stage in stack.programs(HOME, 8010, env, {})]
    assert stages == [["redis"], ["renderer", "tracker"], ["intake", "dispatcher"], ["gateway"]]


def test_redis_of_the_caller_replaces_the_embedded_one() -> None:
    given = {"MORPHEUS_REDIS_URL": "redis://redis:6379"}
    env = stack.environment(HOME, 8010, given)
    names = {program.name for stage in stack.programs(HOME, 8010, env, given) for program in stage}
    assert "redis" not in names


def test_prepare_makes_the_home_for_its_owner_only(tmp_path: Path) -> None:
    env = stack.prepare(tmp_path / "home", 8010, {})
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert len(env["MORPHEUS_TOKEN_SECRET"]) == len(env["MORPHEUS_ADDRESS_SECRET"]) == 64
    assert {entry.name for entry in (tmp_path / "home").iterdir()} == {
        *("redis", "templates", "outbox", "keys.toml", "client.toml", "token_secret", "address_secret"),
    }


def test_socket_of_a_deep_home_is_short_and_its_own() -> None:
    deep = [Path("/") / ("x" * 120) / name for name in ("a", "b")]
    sockets = {redis.socket_path(home) for home in deep}
    assert len(sockets) == 2
    assert all(len(str(path)) <= 100 for path in sockets)


def test_redis_is_durable_and_refuses_rather_than_evicts() -> None:
    words = redis.command(HOME)
    settings = dict(zip(words[1::2], words[2::2], strict=True))
    assert settings["--appendonly"] == "yes"
    assert settings["--appendfsync"] == "always"
    assert settings["--maxmemory"] == "1gb"
    assert settings["--maxmemory-policy"] == "noeviction"
    assert settings["--port"] == "0"
