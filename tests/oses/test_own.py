"""Operators add releases and families as files: what they say counts, and what is wrong with them is named."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pxed.config import load
from pxed.errors import ConfigError, Conflict, InvalidRequest, NotFound
from pxed.options import Options
from pxed.oses.catalog import FAMILIES, Catalog, Prepared
from pxed.oses.family import Resources
from pxed.oses.own import with_own
from pxed.testing import MemoryAppliance, result_of
from pxed.workflow.install import Install
from tests.cli.fake import run
from tests.oses import own_example
from tests.oses.families import RESOURCES, sample
from tests.oses.samples import FULL, SECRET, URLS, FakeNode, hostile, install_of

ROOT = Path(__file__).resolve().parents[2]
MAC = "52:54:00:12:34:56"


def directory(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


def catalog(path: Path) -> Catalog:
    return Catalog(with_own(path).families, resources=RESOURCES)


# the document's example


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return catalog(own_example.write(tmp_path_factory.mktemp("own")))


@pytest.mark.slow
def test_the_documents_check_says_what_the_document_says(tmp_path: Path) -> None:
    own_example.write(tmp_path)
    command, shown = own_example.console()
    words = [sys.executable, "-m", *command.split()]
    done = subprocess.run(words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, shown, "")


def test_the_documents_new_debian_is_started_and_answered_as_said(example: Catalog) -> None:
    files = example.preview(example.prepare("debian", "forky", {}), None, URLS)
    assert "/repo/debian/dists/forky/main/installer-amd64/current/images/netboot/debian-installer/amd64/linux " in files["boot.ipxe"]
    assert "mirror/suite string forky\n" in files["preseed.cfg"]
    assert example.prepare("debian", None, {}).release == "13"


def test_the_documents_kernel_initrds_and_arguments_go_to_the_boot_loaders(example: Catalog) -> None:
    prepared = example.prepare("debian", "13-backports", {"kernelArgs": "quiet"})
    for arch, word in ((7, "amd64"), (11, "arm64")):
        script = example.preview(prepared, FakeNode(arch=arch), URLS)["boot.ipxe"]
        assert (
            f"kernel --name linux {URLS.repo('debian')}/netboot-backports/{word}/linux initrd=initrd.gz initrd=firmware.cpio.gz " in script
        )
        assert f"initrd --name initrd.gz {URLS.repo('debian')}/netboot-backports/{word}/initrd.gz" in script
        assert f"initrd --name firmware.cpio.gz {URLS.repo('debian')}/firmware/firmware.cpio.gz" in script
        assert " fb=false quiet " in script
    grub = example.grub(install_of(prepared), FakeNode(), URLS, MAC)
    assert "netboot-backports/amd64/linux" in grub
    moved = example.preview(example.prepare("debian", "13-backports", {"repo": "http://mirror.example.com/d"}), None, URLS)
    assert "kernel --name linux http://mirror.example.com/d/netboot-backports/amd64/linux " in moved["boot.ipxe"]


def test_the_documents_copy_of_another_system_differs_by_its_name_alone(example: Catalog) -> None:
    prepared = example.prepare("circle", "9.4", sample("rocky", "full"))
    assert (prepared.family, prepared.release, prepared.recipe) == ("circle", "9", "redhat")
    assert example.needs(example.prepare("circle", None, {})) == "circle-9"
    files = example.preview(prepared, FakeNode(), URLS)
    original = example.preview(example.prepare("rocky", "9", sample("rocky", "full")), FakeNode(), URLS)
    for name, text in original.items():
        hashed = text.split("$6$")[0]  # salts differ
        assert files[name].startswith(hashed.replace("rocky-9", "circle-9").replace("Rocky Linux 9", "Circle Linux 9")), name


@pytest.mark.skipif(not shutil.which("debconf-set-selections"), reason="debconf-set-selections (package debconf) is not installed")
@pytest.mark.parametrize("options", [{}, FULL, hostile()], ids=["minimal", "full", "hostile"])
def test_the_documents_kiosk_has_its_own_answers_defaults_and_file(example: Catalog, options: dict[str, Any], tmp_path: Path) -> None:
    prepared = example.prepare("kiosk", None, options)
    assert SECRET not in json.dumps(prepared.options)
    files = example.preview(prepared, FakeNode(), URLS)
    name = options.get("hostname")
    assert files["preseed.cfg"].endswith(f"\nd-i netcfg/dhcp_hostname string {name or 'kiosk'}\n")
    assert files["session.conf"] == f"url=https://intranet.example.com/kiosk/{name or 'unnamed'}\n"
    assert example.file(install_of(prepared), FakeNode(), URLS, "session.conf").content_type.startswith("text/plain")
    (tmp_path / "preseed.cfg").write_text(files["preseed.cfg"])
    done = subprocess.run(["debconf-set-selections", "-c", tmp_path / "preseed.cfg"], capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_documents_defaults_are_defaults_and_shown_as_such(example: Catalog) -> None:
    stored = example.prepare("kiosk", "12", {}).options
    assert (stored["packages"], stored["tasks"], stored["timezone"]) == (["chromium"], ["ssh-server"], "Europe/Berlin")
    assert stored["scripts"]["firstboot"] == ["systemctl set-default graphical.target"]
    assert example.prepare("kiosk", "12", {"packages": ["vim"]}).options["packages"] == ["vim"]
    assert example.schema("kiosk")["properties"]["timezone"]["default"] == "Europe/Berlin"
    assert example.schema("debian")["properties"]["timezone"]["default"] == "UTC"
    with pytest.raises(InvalidRequest, match="bonds cannot be used here"):
        example.prepare("kiosk", None, {"bonds": [{}]})


def test_the_list_says_where_everything_comes_from(example: Catalog) -> None:
    shown = {each["name"]: each for each in json.loads(json.dumps(example.list()))}
    assert {each["origin"] for name, each in shown.items() if name not in ("circle", "kiosk")} == {"pxed"}
    assert shown["kiosk"]["origin"].endswith("/oses/kiosk.toml")
    assert [each["origin"].rpartition("/")[2] for each in shown["debian"]["releases"]] == [
        "pxed",
        "pxed",
        "pxed",
        "debian.toml",
        "debian.toml",
    ]


# every family


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_can_be_copied_and_takes_its_files_from_where_a_release_says(family: Any, tmp_path: Path) -> None:
    first = next(iter(family.releases))
    text = f'[family]\nname = "house"\ntitle = "House"\nlike = "{family.name}"\n'
    text += f'[[release]]\nname = "{first}"\nrepository = "my-tree"\n'
    found = catalog(directory(tmp_path, house=text))
    medium = RESOURCES.media(family.repository(next(iter(family.releases.values()))))
    found = Catalog(list(found.families.values()), resources=Resources(media=lambda name: medium if name == "my-tree" else {}))
    options = {name: value for name, value in sample(family.name, "minimal").items() if name != "repo"}
    prepared = found.prepare("house", None, options)
    assert found.needs(prepared) == "my-tree"
    script = found.preview(prepared, FakeNode(), URLS)["boot.ipxe"]
    assert f"House {prepared.release}" in script
    assert f"/repo/{family.name}" not in script
    assert family.profile != "boot/linux.ipxe.j2" or f"{URLS.repo('my-tree')}/" in script
    other = catalog(directory(tmp_path, house=text.split("[[release]]")[0]))
    assert list(other.families["house"].releases) == list(family.releases)
    assert [other.families["house"].repository(each) for each in other.families["house"].releases.values()] == [
        family.repository(each) for each in family.releases.values()
    ]


def test_templates_that_ignition_carries_inside_can_be_replaced(tmp_path: Path) -> None:
    directory(tmp_path, house='[family]\nname = "house"\ntitle = "House"\nlike = "flatcar"\n')
    (tmp_path / "house" / "linux").mkdir(parents=True)
    (tmp_path / "house" / "linux" / "firstboot.sh.j2").write_text("#!/bin/sh\n# the house's\n")
    found = catalog(tmp_path)
    target = json.loads(found.preview(found.prepare("house", None, {}), None, URLS)["target.ign"])
    (source,) = [each["contents"]["source"] for each in target["storage"]["files"] if each["path"].endswith("/firstboot")]
    assert "# the house's\n" in (base64.b64decode(source.partition("base64,")[2]).decode() if "base64," in source else unquote(source))


@pytest.mark.parametrize(
    ("releases", "shown"),
    [
        ("", {"13": "trixie, debian", "12": "bookworm, debian"}),
        (
            '[[release]]\nname = "13"\n[[release]]\nname = "front-desk"\nlike = "12"\nrepository = "desk"\ndata.codename = "mine"\n',
            {"13": "trixie, house-13", "front-desk": "mine, desk"},
        ),
    ],
    ids=["pxed's own releases", "releases of the house"],
)
def test_the_houses_templates_see_the_data_of_the_release_that_is_installed(releases: str, shown: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "which.txt.j2").write_text("{{ data.codename }}, {{ data.repository }}\n")
    found = catalog(directory(tmp_path, house=FAMILY + 'files = {"which.txt" = "which.txt.j2"}\n' + releases))
    for release, text in shown.items():
        assert found.preview(found.prepare("house", release, {}), FakeNode(), URLS)["which.txt"] == f"{text}\n"


def test_data_of_any_name_is_for_a_family_with_templates_alone(tmp_path: Path) -> None:
    release = '[[release]]\nname = "13"\ndata.colour = "red"\n'
    with pytest.raises(ConfigError, match=r"release.0.data.colour: is not known"):
        with_own(directory(tmp_path, house=FAMILY + release))
    (tmp_path / "house" / "debian").mkdir(parents=True)
    (tmp_path / "house" / "debian" / "late.sh.j2").write_text("#!/bin/sh\necho {{ data.colour }}\n")
    found = catalog(tmp_path)
    assert found.preview(found.prepare("house", "13", {}), FakeNode(), URLS)["late.sh"] == "#!/bin/sh\necho 'red'\n"


def test_another_recipe(tmp_path: Path) -> None:
    text = '[family]\nname = "house"\ntitle = "House"\nlike = "debian"\nrecipe = "{}"\n'
    assert catalog(directory(tmp_path, house=text.format("debian-off"))).prepare("house", None, {}).recipe == "debian-off"
    assert catalog(directory(tmp_path, house=text.format("redhat"))).prepare("house", None, {"after": "poweroff"}).recipe == "redhat-off"


def test_an_operators_release_may_replace_one_of_pxeds_own(tmp_path: Path) -> None:
    found = catalog(directory(tmp_path, d='[[release]]\nfamily = "debian"\nname = "13"\nlike = "13"\nrepository = "frozen"\n'))
    assert found.needs(found.prepare("debian", None, {})) == "frozen"
    assert found.needs(found.prepare("debian", "12", {})) == "debian"


def test_what_only_an_operator_has_is_not_tried(tmp_path: Path) -> None:
    own = with_own(directory(tmp_path, e='[[release]]\nfamily = "esxi"\nname = "9"\ndata.number = [9, 0]\n'))
    assert "rootPassword" in own.untried["esxi", "9"]
    done = run("os", "check", str(tmp_path), state_dir=tmp_path)
    assert done.exit_code == 0
    assert "VMware ESXi 9 could not be rendered yet" in done.output


# what is wrong

RELEASE = '[[release]]\nfamily = "debian"\nname = "14"\n'
FAMILY = '[family]\nname = "house"\ntitle = "House"\nlike = "debian"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[release", "is not valid TOML"),
        ("", "expected [family] or [[release]]"),
        (RELEASE + "kernl = 'x'", "release.0.kernl: is not a known option; perhaps kernel"),
        (RELEASE.replace('"14"', '"1 4"'), "release.0.name: expected text that matches"),
        (RELEASE.replace("debian", "debain"), "release.0.family: there is no family 'debain'; perhaps debian"),
        ('[[release]]\nname = "14"', "release.0.family: which family's release"),
        (RELEASE + "like = '99'", "release.0.like: there is no release '99' of debian; there is 13, 12, 11"),
        (RELEASE + "kernel = '../x'", "release.0.kernel: expected a path below the repository"),
        (RELEASE + "kernel = '/x'", "release.0.kernel: expected a path below the repository"),
        (RELEASE + "initrds = []", "release.0.initrds: expected"),
        (RELEASE + "arguments = 'a ${b}'", "release.0.arguments: expected kernel arguments"),
        (RELEASE + f"arguments = '{'x' * 2100}'", "debian 14: options.kernelArgs: the kernel's command line would be too long"),
        (RELEASE + "repository = 'Über'", "release.0.repository: expected"),
        (RELEASE + "data.codname = 'x'", "release.0.data.codname: is not known; perhaps codename"),
        (RELEASE + "data.codename = 7", "release.0.data.codename: expected text"),
        (RELEASE + "data.repository = 'x'", "release.0.data.repository: stands beside data"),
        (RELEASE + "aliases = ['bookworm']", "release.0.aliases: bookworm is the name of another release"),
        (RELEASE + RELEASE, "release.1.name: there is a release 14 of debian already"),
        (
            RELEASE + 'data.codename = "a\\nb"',
            "debian 14: These options cannot be written into the installer's files: debian/answers.preseed.j2",
        ),
        (RELEASE.replace("debian", "esxi") + "kernel = 'x'", "release.0.kernel: VMware ESXi is not started as a kernel"),
        (FAMILY.replace("debian", "beos"), "family.like: there is no family of pxed's own 'beos'"),
        (FAMILY.replace("house", "ubuntu"), "family.name: there is a family ubuntu already, of pxed itself"),
        (FAMILY + "recipe = 'debain'", "family.recipe: there is no recipe 'debain'; perhaps debian"),
        (FAMILY + "templates = 'nothere'", "family.templates: there is no directory"),
        (FAMILY + "files = {'x.sh' = 'x.sh.j2'}", "family.files: there is no directory"),
        (FAMILY + "files = {'../x' = 'x.sh.j2'}", "family.files"),
        (FAMILY + "options.timezone = 'Mars/Base'", "family.options.timezone: expected a time zone"),
        (FAMILY + "options.bonds = []", "family.options.bonds: cannot be used here"),
        (FAMILY + "options.rootPassword = 'x'", "family.options: expected no secrets: options.rootPassword"),
        (FAMILY + "options.users = [{name = 'a', passwordHash = '$6$x$y'}]", "no secrets: options.users.0.passwordHash"),
        (FAMILY + RELEASE.replace("debian", "ubuntu"), "release.0.family: this file is about the family house"),
    ],
)
def test_a_mistake_names_file_and_field(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        with_own(directory(tmp_path, mine=text))
    assert str(caught.value).startswith(f"{tmp_path}/mine.toml: ")
    assert named in str(caught.value)
    assert "$6$x$y" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("debian/lates.sh.j2", "", "perhaps debian/late.sh.j2 is meant"),
        ("debian/late.exe.j2", "", "must end with .KIND.j2"),
        ("debian/late.sh.j2", "x" * 70_000, "is larger than 65536 bytes"),
        ("debian/late.sh.j2", "echo {{ nothing }}", "debian/late.sh.j2, line 1: 'nothing' is undefined"),
        ("debian/late.sh.j2", "\n{% if %}", "debian/late.sh.j2, line 2"),
        ("debian/late.sh.j2", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "more than 20000 turns"),
        ("debian/late.sh.j2", '{% include "no.sh.j2" %}', "no such template no.sh.j2"),
    ],
)
def test_a_wrong_template_is_named(name: str, text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "house" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        with_own(directory(tmp_path, house=FAMILY))
    assert named in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_wrong_file_stops_the_start_and_is_found_by_doctor_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "oses").mkdir()
    directory(tmp_path / "oses", mine=RELEASE + "kernl = 'x'")
    (tmp_path / "pxed.toml").write_text("")
    config = str(tmp_path / "pxed.toml")
    named = "mine.toml: release.0.kernl: is not a known option"
    with pytest.raises(SystemExit):
        Options().parseOptions(["--config", config])
    assert named in capsys.readouterr().err
    for words in (("os", "check", "--config", config), ("os", "check", str(tmp_path / "oses")), ("up", "--check", "--config", config)):
        done = run(*words, state_dir=tmp_path)
        assert (done.exit_code, named in done.output) == (2, True), words
    done = run("doctor", "--no-probe", "--json", "--config", config, state_dir=tmp_path)
    assert [each["level"] for each in json.loads(done.stdout)["findings"] if each["check"] == "own systems" and named in each["text"]] == [
        "fail"
    ]


def test_where_the_files_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etc" / "oses").mkdir(parents=True)
    config = tmp_path / "etc" / "pxed.toml"
    config.write_text("")
    assert load(config).own_oses == tmp_path / "etc" / "oses"
    assert load(None, {"state_dir": tmp_path}).own_oses == tmp_path / "oses"
    config.write_text(f"os_dir = '{tmp_path}/nowhere'")
    with pytest.raises(SystemExit):
        Options().parseOptions(["--config", str(config)])
    assert "nowhere: can't be read: No such file" in capsys.readouterr().err
    options = Options()
    directory(tmp_path / "etc" / "oses", mine=RELEASE)
    config.write_text("")
    options.parseOptions(["--config", str(config)])
    assert "14" in Catalog(options["families"]).families["debian"].releases


# while installs run


def prepared_install(appliance: MemoryAppliance, prepared: Prepared) -> Install:
    node = appliance.inventory.seen(MAC)
    made: Install = result_of(
        appliance.engine.create(node.id, family=prepared.family, release=prepared.release, recipe=prepared.recipe, options=prepared.options)
    )
    return made


def test_an_install_of_an_operators_family_survives_restarts_at_every_step(example: Catalog) -> None:
    appliance = MemoryAppliance(example.recipes)
    install = prepared_install(appliance, example.prepare("kiosk", "12", {}))
    for phase in ("started", "installed", "booted"):
        appliance = appliance.restart(lost=example.lost)
        install = appliance.engine.get(install.id)
        assert install.state == "running"
        assert b"The house's own answers" in example.file(install, FakeNode(), URLS, "preseed.cfg").body
        result_of(appliance.engine.deliver(install.token, phase))
    assert install.state == "done"


def test_without_its_file_an_install_is_parked_with_the_reason_and_goes_on_when_it_is_back(example: Catalog) -> None:
    appliance = MemoryAppliance(example.recipes)
    install = prepared_install(appliance, example.prepare("kiosk", "12", {}))
    result_of(appliance.engine.deliver(install.token, "started"))
    without = Catalog()
    appliance = appliance.restart(recipes=without.recipes, lost=without.lost)
    parked = appliance.engine.get(install.id)
    assert parked.state == "parked"
    assert "There is no operating system 'kiosk'" in parked.reason
    assert "put it back and start pxed again" in parked.reason
    with pytest.raises(Conflict, match="cannot go on: There is no operating system"):
        result_of(appliance.engine.restart(install.id))
    with pytest.raises(NotFound):
        without.file(parked, FakeNode(), URLS, "preseed.cfg")
    result_of(appliance.engine.deliver(install.token, "installed"))
    appliance = appliance.restart(lost=example.lost)
    again = result_of(appliance.engine.restart(install.id))
    result_of(appliance.engine.deliver(install.token, "booted"))
    assert again.state == "done"


def test_a_removed_release_and_options_that_no_longer_fit_are_lost_too(tmp_path: Path) -> None:
    found = catalog(directory(tmp_path, mine=RELEASE + "[[release]]\nfamily = 'ubuntu'\nname = '27.04'\n"))
    gone = install_of(found.prepare("debian", "14", {}))
    assert found.lost(gone) == ""
    assert "Debian has no release '14'" in Catalog().lost(gone)
    other = catalog(directory(tmp_path, mine=FAMILY.replace("debian", "rocky"), house=""[:0] or FAMILY.replace("house", "other")))
    assert "Its options are no longer those of house: options.tasks" in other.lost(
        install_of(Prepared("house", "9", "debian", {"tasks": []}))
    )
