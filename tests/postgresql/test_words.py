"""What the operator reads when `database` names PostgreSQL and something is wrong: one sentence, status 2, never the password."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from pxed.cli import doctor_command, preflight, up_command
from pxed.config import Settings, load
from pxed.errors import ConfigError
from pxed.store.database import Database
from pxed.store.postgresql import called, with_driver
from tests.postgresql.cluster import Cluster
from tests.test_tap import HERE, free_port


def settings(url: str) -> Settings:
    return load(None, {"database": url})


UNUSABLE = (
    "postgresql://pxed:hunter2@db@example/pxed",
    "postgresql://pxed@db.example:hunter2/pxed",
    "postgresql+psycopg2://pxed:hunter2@db.example/pxed",
    "mysql://pxed:hunter2@db.example/pxed",
    "hunter2",
)


@pytest.mark.parametrize("url", UNUSABLE)
def test_a_url_that_is_none_is_a_sentence_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigError, match="database: is not the URL of a database pxed can use: sqlite:") as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    (finding,) = preflight.database(settings(url))
    assert finding.level == "fail"
    assert "hunter2" not in str(finding)


def test_the_settings_do_not_show_it() -> None:
    shown = settings("postgresql://pxed:hunter2@db.example/pxed")
    assert "hunter2" not in f"{shown!r} {shown} {shown.model_dump()} {shown.model_dump_json()}"
    assert shown.database_url == "postgresql://pxed:hunter2@db.example/pxed"


@pytest.mark.parametrize("spelled", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_means_the_same_driver(spelled: str) -> None:
    url = with_driver(make_url(f"{spelled}://pxed:hunter2@db.example/pxed?password=hunter2"))
    assert url.drivername == "postgresql+psycopg"
    assert called(url) == "PostgreSQL database 'pxed' at db.example"


def test_nothing_is_asked_of_a_host_without_such_a_line() -> None:
    assert preflight.database(load(None)) == []
    (finding,) = preflight.database(settings("sqlite:////nowhere/pxed.db"))
    assert finding.level == "ok"


def test_a_server_that_is_not_there() -> None:
    (finding,) = preflight.database(settings(f"postgresql://pxed:hunter2@127.0.0.1:{free_port()}/pxed?password=hunter2"))
    assert finding.level == "fail"
    assert "127.0.0.1" in finding.text
    assert "\n" not in finding.text
    assert "hunter2" not in str(finding)


@pytest.mark.slow
def test_a_server_that_is_there_is_only_looked_at(cluster: Cluster) -> None:
    database = cluster.database()
    (finding,) = preflight.database(settings(cluster.url(database)))
    assert (finding.level, finding.text) == ("ok", f"PostgreSQL database '{database}' at {cluster.directory} can be used")
    assert cluster.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database) == [(0,)]


def configured(directory: Path, url: str) -> Path:
    path = directory / "pxed.toml"
    ports = "\n".join(f"{name} = {free_port()}" for name in ("http", "dhcp", "pxe", "tftp", "syslog"))
    path.write_text(f'state_dir = "{directory / "state"}"\ninterfaces = ["lo"]\ndatabase = "{url}"\n[ports]\n{ports}\n')
    return path


def start(conf: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The appliance itself, which does not look before it starts. It ends with 2 and without the password."""
    twistd = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "pxed", "--config", str(conf)]
    done = subprocess.run(twistd, **{**HERE, "env": {**os.environ, **environment}})
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert "hunter2" not in said
    return done


@pytest.mark.slow
def test_without_the_driver_it_is_one_sentence_with_the_remedy_and_status_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `import psycopg` does without libpq, too."""
    conf = configured(tmp_path, "postgresql://pxed:hunter2@127.0.0.1/pxed")
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available.\\nAttempts made: many')\n")
    remedy = f"{sys.executable} -m pip install 'psycopg[binary]'"
    done = start(conf, PYTHONPATH=f"{tmp_path}:{Path.cwd()}")
    (said,) = [line for line in done.stderr.splitlines() if "psycopg" in line]
    assert said.startswith("pxed: PostgreSQL needs the Python driver psycopg 3")
    assert said.endswith(remedy)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (finding,) = preflight.database(load(conf))
    assert (finding.level, finding.remedy) == ("fail", f"Install it: {remedy}")


@pytest.mark.slow
def test_no_word_of_an_appliance_that_cannot_start_is_the_password(cluster: Cluster, database: str, tmp_path: Path) -> None:
    cluster.ask("DROP ROLE IF EXISTS guarded; CREATE ROLE guarded LOGIN PASSWORD 'right'")
    conf = configured(tmp_path, cluster.url(database, user="guarded", password="hunter2"))
    for found in (up_command.look(load(conf), link=False), doctor_command.look(load(conf), tmp_path)):
        assert [each.level for each in found if 'password authentication failed for user "guarded"' in each.text] == ["fail"]
        assert "hunter2" not in str(found)
    done = start(conf)
    assert "pxed: the database that the configuration names can't be opened" in done.stderr
