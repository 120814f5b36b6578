"""`pxed os`, `pxed health`."""

from __future__ import annotations

from pxed.cli.os_commands import describe
from pxed.oses.catalog import Catalog
from tests.cli.fake import Appliance, an_error

DEBIAN = {
    "name": "debian",
    "title": "Debian",
    "releases": [{"name": "13", "title": "Debian 13"}, {"name": "12", "title": "Debian 12"}],
    "milestones": [],
}


def test_the_list_names_families_and_releases(appliance: Appliance) -> None:
    appliance.api.routes["GET", "oses"] = (200, {"oses": [DEBIAN]})
    assert appliance.pxed("os", "list").stdout.splitlines()[1].split() == ["debian", "Debian", "13,", "12"]
    assert appliance.json("os", "list")["oses"] == [DEBIAN]


def test_the_real_schema_of_debian_becomes_paths_that_o_takes(appliance: Appliance) -> None:
    schema = Catalog().schema("debian")
    rows = {path: (kind, default) for path, kind, default, _ in describe(schema)}
    assert rows["hostname"] == ("text", "")
    assert rows["rootPassword"][0] == "secret"
    assert rows["users.N.name"] == ("text", "required")
    assert rows["timezone"] == ("text", "UTC")
    assert rows["packages"] == ("list of text", "")
    assert rows["layout"] == ("auto|plain|lvm|custom", "auto")
    assert rows["scripts.firstboot"][0] == "list of text"
    assert rows["remoteLogging"] == ("boolean", "true")
    assert not [path for path, (kind, _) in rows.items() if kind in ("any", "")]
    appliance.api.routes["GET", "oses/debian"] = (200, {"name": "debian", "schema": schema})
    out = appliance.pxed("os", "options", "debian").stdout
    assert "users.N.password" in out
    assert "-o users.0.password=@FILE" in out
    assert appliance.json("os", "options", "debian") == schema, "a JSON Schema, as it can be given to a validator"
    appliance.pxed("os", "options", "debian", "--release", "12")
    assert appliance.api.asked[-1] == ("GET", "oses/debian", {"release": "12"})


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}, "properties": {"a": {"$ref": "#/$defs/A"}}}
    assert len(list(describe(schema))) == 1


def test_an_unknown_family_is_the_appliances_sentence(appliance: Appliance) -> None:
    appliance.api.routes["GET", "oses/beos"] = (404, an_error("There is no operating system 'beos'; there is debian"))
    assert appliance.pxed("os", "options", "beos").exit_code == 1


def test_health_is_status_0_only_if_the_appliance_says_ok(appliance: Appliance) -> None:
    well = {
        "status": "ok",
        "version": "0.1.0",
        "uptime": 3725.0,
        "store": "ok",
        "services": {"dhcp": {"offers": 3, "silent": 2, "raw": False}, "tftp": {"active": 0}},
        "interfaces": ["eth1"],
    }
    appliance.api.routes["GET", "health"] = (200, well)
    result = appliance.pxed("health")
    assert result.exit_code == 0
    assert "1 h 02 m" in result.stdout
    assert "offers 3, silent 2, raw no" in result.stdout
    assert appliance.json("health") == well
    appliance.api.routes["GET", "health"] = (200, {**well, "status": "failing", "store": "failing"})
    assert appliance.pxed("health").exit_code == 1


def test_health_of_a_shape_nobody_promised_does_not_break(appliance: Appliance) -> None:
    appliance.api.routes["GET", "health"] = (200, {"status": "ok", "services": ["dhcp"], "interfaces": [{"name": "eth1"}]})
    assert "name eth1" in appliance.pxed("health").stdout


def test_the_list_warns_of_what_a_release_needs(appliance: Appliance) -> None:
    needy = {
        "name": "x",
        "title": "X",
        "releases": [{"name": n, "needs": "8 GB of memory"} for n in ("2", "1")] + [{"name": "0", "needs": ""}],
    }
    appliance.api.routes["GET", "oses"] = (200, {"oses": [needy]})
    assert appliance.pxed("os", "list").stdout.splitlines()[-1] == "X 2, 1 needs 8 GB of memory."
