"""Settings: where they come from and what is refused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidings.configured import load_config
from tidings.core.errors import StartupError


def test_flags_outweigh_the_environment_which_outweighs_the_file(tmp_path: Path) -> None:
    """What is deployed everywhere stands in the file; what is of one place, in its environment."""
    file = tmp_path / "tidings.toml"
    file.write_text('port = 2\nretention_days = 7\nworkers = 2\nhost = "::1"\nsql_jobs = {a = "postgresql://a/b"}\n')
    environ = {"TIDINGS_PORT": "1", "TIDINGS_RETENTION_DAYS": "1", "TIDINGS_HOST": "0.0.0.0", "TIDINGS_WORKERS": ""}
    config = load_config({"port": 3, "host": None}, file=file, environ=environ)
    assert (config.port, config.retention_days, config.host, config.workers) == (3, 1, "0.0.0.0", 2)
    assert config.sql_jobs == {"a": "postgresql://a/b"}
    assert load_config(file=file, environ={"TIDINGS_SQL_JOBS": '{"c": "postgresql://c/d"}'}).sql_jobs == {
        "c": "postgresql://c/d"
    }


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text('allow_private_networks = ["10.0.0.0/8", "127.0.0.1"]\n')
    config = load_config(environ={"TIDINGS_CONFIG": str(file)})
    assert [str(network) for network in config.egress.allowed] == ["10.0.0.0/8", "127.0.0.1/32"]


def test_what_may_be_called_is_read_from_lists(tmp_path: Path) -> None:
    environ = {
        "TIDINGS_DENY_NETWORKS": "8.8.8.0/24, 2001:db8::/32", "TIDINGS_ALLOW_PORTS": "443,8000-8999", "TIDINGS_DENY_PORTS": "8080",
        "TIDINGS_HTTP_HOSTS": "billing.internal,*.svc.local",
    }  # fmt: skip
    egress = load_config(environ=environ).egress
    assert [str(network) for network in egress.denied] == ["8.8.8.0/24", "2001:db8::/32"]
    assert (egress.ports, egress.denied_ports) == (((443, 443), (8000, 8999)), ((8080, 8080),))
    assert egress.http_hosts == ("billing.internal", "*.svc.local")
    nothing = load_config(environ={}).egress
    assert (nothing.ports, nothing.http_hosts) == (None, None)
    assert load_config(environ={"TIDINGS_HTTP_HOSTS": "none"}).egress.http_hosts == ()
    file = tmp_path / "tidings.toml"
    file.write_text("http_hosts = []\nallow_ports = [443]\n")
    assert load_config(file=file, environ={}).egress.http_hosts == ()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"TIDINGS_PORT": "many"}, "cannot be read"),
        ({"TIDINGS_PORT": "70000"}, "port is 70000"),
        ({"TIDINGS_WORKERS": "0"}, "workers is 0"),
        ({"TIDINGS_LOG_LEVEL": "loud"}, "log_level"),
        ({"TIDINGS_LOG_FORMAT": "xml"}, "log_format"),
        ({"TIDINGS_ADMIN_KEY": "k" * 1001}, "admin_key"),
        ({"TIDINGS_ADMIN_KEY": "schlüssel"}, "admin_key"),
        ({"TIDINGS_ALLOW_PRIVATE_NETWORKS": "10.0.0.1/8"}, "allow_private_networks"),
        ({"TIDINGS_DENY_NETWORKS": "10/8/8"}, "deny_networks"),
        ({"TIDINGS_ALLOW_PORTS": "https"}, "allow_ports"),
        ({"TIDINGS_DENY_PORTS": "0"}, "deny_ports"),
        ({"TIDINGS_HTTP_HOSTS": "http://x"}, "http_hosts"),
        ({"TIDINGS_CONFIG": "/nowhere/tidings.toml"}, "cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_sentence(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(StartupError, match=sentence):
        load_config(environ=environ)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_bytes(b'admin_key = "\xff"\n')
    with pytest.raises(StartupError, match="is not TOML"):
        load_config(file=file, environ={})


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(StartupError, match="prot"):
        load_config(file=file, environ={})


def test_keys_and_passwords_are_not_shown() -> None:
    values: dict[str, Any] = {
        "admin_key": "k-very",
        "secret_key": "s-very",
        "database_url": "postgresql://u:p-very@h/d",
    }
    assert "very" not in repr(load_config(values, environ={}))


HOMELESS = """
import pwd
from tidings.configured import load_config
pwd.getpwuid = lambda number: {}[number]  # nobody has it
print(load_config(environ={"TIDINGS_DATABASE_URL": "postgresql://db/app"}).key_file)
"""


def test_who_has_no_home_keeps_the_key_in_the_folder_of_data(tmp_path: Path) -> None:
    """As a container whose user is a number that nobody has."""
    environ = {name: value for name, value in os.environ.items() if name not in {"HOME", "XDG_DATA_HOME"}}
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{tmp_path}/.tidings/secret_key\n", done.stderr
