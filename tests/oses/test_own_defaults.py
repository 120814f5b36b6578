"""What an operator's file gives is no longer demanded of an install, and what a file can't say is refused in its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from pxed.errors import ConfigError, InvalidRequest
from pxed.oses.catalog import FAMILIES, Catalog
from pxed.oses.family import Family, Resources
from pxed.oses.own import MOST, with_own
from pxed.oses.own_build import defaulted
from tests.oses.families import RESOURCES
from tests.oses.samples import URLS, FakeNode, install_of, verifies

HASH = "$6$abcdefgh$" + "x" * 86
HOUSE = '[family]\nname = "house"\ntitle = "House"\nlike = "{}"\n'


def written(tmp_path: Path, like: str, text: str, mode: int = 0o640) -> Path:
    file = tmp_path / "house.toml"
    file.write_text(HOUSE.format(like) + text)
    file.chmod(mode)
    return tmp_path


def catalog(path: Path, resources: Resources = RESOURCES) -> Catalog:
    return Catalog(with_own(path).families, resources=resources)


def test_a_house_password_for_esxi_need_not_be_given_and_shows_nowhere(tmp_path: Path) -> None:
    found = catalog(written(tmp_path, "esxi", f"options.rootPasswordHash = '{HASH}'"))
    prepared = found.prepare("house", None, {})
    assert f"rootpw --iscrypted {HASH}" in found.file(install_of(prepared), FakeNode(), URLS, "ks.cfg").body.decode()
    assert HASH not in json.dumps([found.schema("house"), found.list(), found.visible(prepared.options)])
    with pytest.raises(InvalidRequest, match=r"options.rootPassword: expected a password, or rootPasswordHash"):
        found.prepare("esxi", None, {})


def test_a_password_that_is_given_counts_instead_of_the_houses(tmp_path: Path) -> None:
    found = catalog(written(tmp_path, "esxi", f"options.rootPasswordHash = '{HASH}'"))
    assert verifies("mine", found.prepare("house", None, {"rootPassword": "mine"}).options["rootPasswordHash"])
    other = HASH.replace("x", "y")
    assert found.prepare("house", None, {"rootPasswordHash": other}).options["rootPasswordHash"] == other
    with pytest.raises(InvalidRequest, match="either rootPassword or rootPasswordHash"):
        found.prepare("house", None, {"rootPassword": "mine", "rootPasswordHash": other})


def test_other_defaults_of_esxi_need_no_password_beside_them(tmp_path: Path) -> None:
    own = with_own(written(tmp_path, "esxi", 'options.keyboard = "de"\noptions.ntp = "ntp.example.com"'))
    assert "options.rootPassword" in own.untried["house", "8"]
    found = Catalog(own.families, resources=RESOURCES)
    with pytest.raises(InvalidRequest, match=r"options.rootPassword: expected a password"):
        found.prepare("house", None, {})
    stored = found.prepare("house", None, {"rootPassword": "x"}).options
    assert (stored["keyboard"], stored["ntpServers"]) == ("de", ["ntp.example.com"])


def test_the_houses_share_needs_only_its_password_of_an_install(tmp_path: Path) -> None:
    text = "options.smbRepo = '\\\\files\\windows'\noptions.smbUser = 'reader'\noptions.username = 'house'\n"
    found = catalog(written(tmp_path, "windows", text))
    secrets = {"password": "S3cret!x", "smbPassword": "sh4re"}
    share = found.preview(found.prepare("house", None, secrets), FakeNode(), URLS)["share.cmd"]
    assert '"\\\\files\\windows"' in share
    assert '"/user:reader"' in share
    for name in secrets:
        with pytest.raises(InvalidRequest, match=f"^options.{name}: expected") as caught:
            found.prepare("house", None, {other: value for other, value in secrets.items() if other != name})
        assert caught.value.field == f"options.{name}"


@pytest.mark.parametrize(
    ("like", "options", "lacks"),
    [
        ("photon", "options.installDisk = '/dev/sda'", ("photon", "4", "options.disk")),
        ("proxmox", "options.hostname = 'pve'\noptions.installDisk = '/dev/sda'", ("proxmox", "9", "options.hostname")),
    ],
)
def test_what_another_release_demands_is_given_by_the_house(like: str, options: str, lacks: tuple[str, str, str], tmp_path: Path) -> None:
    found = catalog(written(tmp_path, like, options))
    assert found.prepare("house", lacks[1], {}).family == "house"
    with pytest.raises(InvalidRequest) as caught:
        found.prepare(*lacks[:2], {})
    assert caught.value.field == lacks[2]


INSTALLERS = [installer for family in FAMILIES for installer in family.installers]


def said(info: FieldInfo) -> dict[str, Any]:
    """Everything that a field says about itself but its default."""
    own = [each for each in FieldInfo.__slots__ if not each.startswith("_") and each not in ("default", "default_factory")]
    return {each: getattr(info, each) for each in own}


@pytest.mark.parametrize("installer", INSTALLERS, ids=lambda each: f"{each.name}-{each.recipe.name}")
def test_a_default_changes_nothing_else_about_an_option(installer: Family) -> None:
    """For every option of every system, all of them given at once: its spellings, checks, words and whether it is ever shown."""
    options = installer.options
    fields = options.model_fields
    given = options.model_construct(**{name: info.get_default(call_default_factory=True) for name, info in fields.items()})
    made = defaulted(options, given, "my-house")
    assert made.__name__ == f"{options.__name__}OfMyHouse"
    assert {name: said(info) for name, info in made.model_fields.items()} == {name: said(info) for name, info in fields.items()}
    assert made.model_validate({}).model_dump() == options.model_validate({}).model_dump()
    assert options.model_fields is fields


def test_a_default_is_no_value_that_all_installs_share(tmp_path: Path) -> None:
    found = catalog(written(tmp_path, "debian", 'options.packages = ["vim"]'))
    options = found.families["house"].options
    first, second = options.model_validate({}), options.model_validate({})
    first.packages.append("nano")
    assert (second.packages, options.model_validate({}).packages) == (["vim"], ["vim"])


@pytest.mark.parametrize(
    ("like", "text", "named"),
    [
        ("esxi", f"options.rootPassword = '{HASH}'", "no secrets: options.rootPassword"),
        ("debian", "options.proxy = 'http://me:secret@10.0.0.1:3128'", "no secrets: options.proxy is a URL with a login in it"),
        ("rocky", "options.extraRepos = [{name = 'a', url = 'http://me:secret@h/a'}]", "no secrets: options.extraRepos.0.url"),
        ("rhel", "options.registration = {org = 'a', activationKey = 'secret'}", "no secrets: options.registration.activationKey"),
    ],
)
def test_a_file_holds_no_secret(like: str, text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        with_own(written(tmp_path, like, text))
    assert named in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_a_hash_stands_in_no_file_that_everybody_may_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"house.toml: family.options.rootPasswordHash: stands in a file that everybody may read"):
        with_own(written(tmp_path, "esxi", f"options.rootPasswordHash = '{HASH}'", mode=0o644))


# one family, one installer


@pytest.mark.parametrize(("release", "recipe"), [('name = "16"', "agama"), ('name = "x"\nlike = "16.1"', "agama"), ('name = "x"', "suse")])
def test_the_first_release_says_which_installer_it_is(release: str, recipe: str, tmp_path: Path) -> None:
    found = catalog(written(tmp_path, "sles", f"[[release]]\n{release}\n"))
    assert found.prepare("house", None, {}).recipe == recipe


@pytest.mark.parametrize(
    ("releases", "named"),
    [
        (
            '[[release]]\nname = "16"\n[[release]]\nname = "15"',
            "release.1.name: SUSE Linux Enterprise Server 15 has another installer than 16",
        ),
        (
            '[[release]]\nname = "a"\n[[release]]\nname = "b"\nlike = "16.0"',
            "release.1.like: SUSE Linux Enterprise Server 16.0 has another installer than 15, and a family of yours has one",
        ),
    ],
)
def test_a_second_installer_in_one_family_is_refused(releases: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        with_own(written(tmp_path, "sles", releases))
    assert named in str(caught.value)


def test_a_release_is_not_called_like_one_of_another_installer(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[[release]]\nfamily = "sles"\nname = "16"\nlike = "15"\n')
    with pytest.raises(ConfigError, match=r"release.0.like: 16 is installed by another installer than 15"):
        with_own(tmp_path)


def test_a_release_joins_the_installer_of_the_one_it_is_like(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[[release]]\nfamily = "sles"\nname = "16-lab"\nlike = "16"\nneeds = "patience"\n')
    found = catalog(tmp_path)
    assert [found.prepare("sles", name, {}).recipe for name in ("16-lab", "16", "15")] == ["agama", "agama", "suse"]
    (shown,) = [each for each in found.list() if each["name"] == "sles"]
    assert [(each["name"], each["needs"]) for each in shown["releases"] if each["origin"] != "pxed"] == [("16-lab", "patience")]


def test_a_release_without_a_like_replaces_the_one_of_its_name_in_the_installer_that_has_it(tmp_path: Path) -> None:
    """Fails if it is made like the family's first release: that has another installer."""
    (tmp_path / "own.toml").write_text('[[release]]\nfamily = "sles"\nname = "16"\nrepository = "frozen"\n')
    found = catalog(tmp_path)
    prepared = found.prepare("sles", "16", {})
    assert (prepared.recipe, found.needs(prepared)) == ("agama", "frozen")
    assert found.needs(found.prepare("sles", "15", {})) == "sles-15"


def test_a_path_by_machine_below_a_repository_in_lower_case(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[[release]]\nfamily = "rocky"\nname = "9-LAB"\nlike = "9"\nkernel = "{machine}/vmlinuz"\n')
    found = catalog(tmp_path)
    prepared = found.prepare("rocky", "9-LAB", {})
    for arch, path in ((7, "rocky-9-lab/x86_64/vmlinuz "), (11, "rocky-9-lab-aarch64/aarch64/vmlinuz ")):
        assert f"/repo/{path}" in found.preview(prepared, FakeNode(arch=arch), URLS)["boot.ipxe"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[[release]]\nfamily = "windows"\nname = "x"\narguments = "quiet"\n', "release.0.arguments: Windows takes no kernel arguments"),
        (HOUSE.format("debian") + 'files = {"webhook" = "x.txt.j2"}\n', "family.files.webhook"),
        (HOUSE.format("debian") + 'files = {"boot.ipxe" = "x.txt.j2"}\n', "family.files.boot.ipxe"),
    ],
)
def test_what_cannot_be_of_use_is_refused(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        with_own(tmp_path)
    assert named in str(caught.value)


def test_a_release_may_be_called_like_an_alias_of_pxeds(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('[[release]]\nfamily = "rocky"\nname = "9.4"\nlike = "9"\n')
    found = catalog(tmp_path)
    assert [found.prepare("rocky", name, {}).release for name in ("9.4", "9.3")] == ["9.4", "9"]


def test_the_recipe_of_any_installer_will_do(tmp_path: Path) -> None:
    found = catalog(written(tmp_path, "leap", 'recipe = "agama-off"\n[[release]]\nname = "16"\n'))
    assert found.prepare("house", None, {}).recipe == "agama-off"


# media


@pytest.mark.parametrize(
    ("family", "release", "medium", "options"),
    [
        (
            "windows",
            "name = '2025-dc'\nlike = '2025'\nrepository = 'windows-2025'\ndata.edition = 'SERVERDATACENTER'",
            {},
            {"rootPassword": "S3cret!x"},
        ),
        ("esxi", "name = 'rack'\nlike = '7'\nrepository = 'esxi-7'", {"version": "7.0.3"}, {"rootPassword": "x"}),
        ("proxmox", "name = 'lab'\nlike = '9'\nrepository = 'proxmox-9'", {}, {"hostname": "pve", "installDisk": "/dev/sda"}),
    ],
)
def test_an_operators_release_is_installed_from_the_medium_of_the_one_it_is_like(
    family: str, release: str, medium: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(f"[[release]]\nfamily = '{family}'\n{release}\n")
    found = catalog(tmp_path, Resources(media=lambda name: {**RESOURCES.media(name), **medium}))
    name = release.split("'")[1]
    assert found.prepare(family, name, options).release == name
    other = catalog(tmp_path, Resources(media=lambda name: {**RESOURCES.media(name), "version": "1", "release": "1"}))
    with pytest.raises(InvalidRequest, match=r"options.repo: the repository .* holds"):
        other.prepare(family, name, options)


# files


def test_hidden_files_are_not_read_and_too_many_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".house.toml").write_text("no TOML at all")
    assert not with_own(tmp_path).added()
    for number in range(MOST + 1):
        (tmp_path / f"{number}.toml").write_text("")
    with pytest.raises(ConfigError, match=f"holds {MOST + 1} files, at most {MOST} are read"):
        with_own(tmp_path)


def test_a_file_that_pxed_makes_itself_is_not_replaced_by_a_template(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "x.txt.j2").write_text("")
    with pytest.raises(ConfigError, match=r"family.files.pxed.apkovl.tar.gz: is made by pxed itself"):
        with_own(written(tmp_path, "alpine", 'files = {"pxed.apkovl.tar.gz" = "x.txt.j2"}'))
