"""From a request to a stored install, and from an install to its files."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pxed.errors import InvalidRequest, NotFound
from pxed.oses.catalog import LOCALBOOT, SAMPLE_URLS, Catalog, Urls
from pxed.oses.linux import COMMAND_LINE, SPARE
from tests.oses.families import RESOURCES, delivered, sample
from tests.oses.samples import FULL, HOSTILE_PASSWORD, MINIMAL, SECRET, TOKEN, URLS, FakeInstall, FakeNode, hostile, install_of
from tests.oses.scripted.ipxe import Ipxe, Left

CATALOG = Catalog()


def test_an_unknown_system_or_release_is_answered_with_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"no operating system 'debain' \(perhaps debian\); there is .*debian"):
        CATALOG.prepare("debain", None, {})
    with pytest.raises(NotFound, match=r"no release 'trixi' \(perhaps trixie\); there is 13, 12, 11"):
        CATALOG.prepare("debian", "trixi", {})


def test_the_default_release_is_the_first_and_code_names_are_taken() -> None:
    assert CATALOG.prepare("debian", None, {}).release == "13"
    assert CATALOG.prepare("debian", "bookworm", {}).release == "12"


def test_a_prepared_install_is_json_and_holds_no_secret_in_plain_text() -> None:
    prepared = CATALOG.prepare("debian", "12", FULL)
    stored = json.dumps(prepared.options, ensure_ascii=False)
    assert SECRET not in stored
    assert SECRET not in repr(prepared)
    assert "$6$" not in repr(prepared)
    assert "$6$" not in json.dumps(CATALOG.visible(prepared.options))


@pytest.mark.parametrize("options", [MINIMAL, FULL, hostile()], ids=["minimal", "full", "hostile"])
def test_no_file_of_an_install_holds_a_plain_password(options: dict[str, object]) -> None:
    prepared = CATALOG.prepare("debian", "12", options)
    secrets = {SECRET, str(options.get("rootPassword", SECRET)), HOSTILE_PASSWORD}
    for name, text in CATALOG.preview(prepared, FakeNode(), URLS).items():
        assert not [secret for secret in secrets if secret in text], name


def test_what_was_prepared_is_what_the_node_gets() -> None:
    prepared = CATALOG.prepare("debian", "12", FULL)
    install, node = install_of(prepared), FakeNode()
    preview = delivered(CATALOG, prepared, node, URLS)
    assert CATALOG.profile(install, node, URLS) == preview["boot.ipxe"]
    for name in CATALOG.families["debian"].files:
        rendered = CATALOG.file(install, node, URLS, name)
        assert rendered.body.decode() == preview[name]
        assert rendered.content_type.startswith("text/")


def test_a_file_that_an_install_does_not_have_is_not_found() -> None:
    with pytest.raises(NotFound, match=r"no file '\.\./x'; it has preseed.cfg"):
        CATALOG.file(FakeInstall("debian", "12", {}), FakeNode(), URLS, "../x")


def test_an_option_of_another_family_is_refused_by_name_with_the_reason() -> None:
    with pytest.raises(InvalidRequest, match="bonds cannot be used here") as caught:
        CATALOG.prepare("debian", None, {"bonds": [{"name": "bond0"}]})
    assert caught.value.field == "options.bonds"
    CATALOG.prepare("debian", None, {"bonds": None})


def test_a_kernel_line_with_more_words_than_init_is_handed_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most 32 words") as caught:
        CATALOG.prepare("debian", None, {"kernelArgs": " ".join(f"a{i}=b" for i in range(40))})
    assert caught.value.field == "options.kernelArgs"
    CATALOG.prepare("debian", None, {"kernelArgs": " ".join(f"a.b{i}=c" for i in range(40))})


@pytest.mark.parametrize("name", ["kernelArgs", "targetKernelArgs"])
@pytest.mark.parametrize("family", [family for family in Catalog().families if family != "windows"])
def test_a_kernel_line_the_kernel_would_cut_is_refused(family: str, name: str) -> None:
    """At the very byte: iPXE's line of the longest that is taken leaves what was put by for a longer address, and no more."""
    catalog = Catalog(resources=RESOURCES)
    for installer in catalog.families[family].installers:
        if name in installer.options.refused:
            continue
        release = next(iter(installer.releases))

        def asked(length: int, release: str = release) -> dict[str, Any]:
            return {**sample(family, "minimal", release), name: "x" * length}

        for length in (2000, 65_000):
            with pytest.raises(InvalidRequest, match="command line would be too long") as caught:
                catalog.prepare(family, release, asked(length))
            assert caught.value.field == "options.kernelArgs"
        taken = catalog.prepare(family, release, asked(1000))
        if family == "esxi":
            continue
        (line,) = re.findall(
            r"(?m)^kernel --name linux \S+ (.*) \|\| goto again$", catalog.preview(taken, FakeNode(), SAMPLE_URLS)["boot.ipxe"]
        )
        room = COMMAND_LINE - SPARE - len(line.replace("${netX/mac:hexhyp}", "0" * 17))
        catalog.prepare(family, release, asked(1000 + room))
        with pytest.raises(InvalidRequest, match="command line would be too long"):
            catalog.prepare(family, release, asked(1001 + room))


@pytest.mark.slow
@pytest.mark.parametrize("arch", [None, 0, 7, 11, 19])
@pytest.mark.parametrize("family", [name for name in CATALOG.families if name not in ("esxi", "windows", "proxmox")])
def test_a_node_takes_its_files_from_the_repository_of_its_own_architecture(family: str, arch: int | None) -> None:
    """For every release: what must exist when the install is ordered is where its boot script sends the node."""
    for installer in CATALOG.families[family].installers:
        for release in installer.releases:
            prepared = CATALOG.prepare(family, release, sample(family, "minimal", release))
            named = CATALOG.needs(prepared, arch)
            assert named is not None
            assert named.endswith("-aarch64") == (arch in (11, 19) and family != "debian")
            script = CATALOG.preview(prepared, FakeNode(arch=arch), URLS)["boot.ipxe"]
            assert {found.removesuffix(".iso") for found in re.findall(r"/repo/([a-z0-9._-]+)", script)} == {named}
    assert CATALOG.needs(CATALOG.prepare(family, None, {**sample(family, "minimal"), "repo": "mine"}), arch) == "mine"


def test_switching_off_at_the_end_selects_the_recipe_that_does_not_wait_for_a_first_boot() -> None:
    assert CATALOG.prepare("debian", None, {}).recipe == "debian"
    for after in ("poweroff", "halt"):
        assert CATALOG.prepare("debian", None, {"after": after}).recipe == "debian-off"
    for name in ("debian", "debian-off"):
        assert CATALOG.recipes.get(name, 1).name == name


def test_lists_and_schemas_are_json() -> None:
    (debian,) = [each for each in json.loads(json.dumps(CATALOG.list())) if each["name"] == "debian"]
    assert [release["name"] for release in debian["releases"]] == ["13", "12", "11"]
    assert [each["phase"] for each in debian["milestones"]] == ["started", "installed", "booted"]
    schema = json.loads(json.dumps(CATALOG.schema("debian")))
    assert {"hostname", "rootSshKeys", "disk", "preseedExtra"} <= set(schema["properties"])
    assert "rootSshKey" not in schema["properties"]
    assert schema["properties"]["rootPassword"]["anyOf"][0]["format"] == "password"
    with pytest.raises(NotFound):
        CATALOG.schema("plan9")


@pytest.mark.parametrize("way", [*LOCALBOOT, None, "nonsense"])
def test_a_node_with_nothing_to_install_gets_a_way_out_of_ipxe(way: str | None) -> None:
    script = CATALOG.localboot(FakeNode(name="a ${b} || c\n漢", localboot=way))
    assert script.startswith("#!ipxe\n")
    assert "${b}" not in script
    assert script.rstrip().splitlines()[-1] == ("exit 0" if way == "exit0" else "exit 1")
    assert ("sanboot" in script) == (way not in ("exit0", "exit1"))
    assert ("poweroff" in script.replace("Way: poweroff", "")) == (way == "poweroff")


@pytest.mark.parametrize(
    ("way", "uefi", "bios"),
    [
        ("auto", "exit 1", "sanboot"),
        ("exit1", "exit 1", "exit 1"),
        ("exit0", "exit 0", "exit 0"),
        ("sanboot", "sanboot", "sanboot"),
        ("poweroff", "poweroff", "poweroff"),
        ("grub", "exit 1", "sanboot"),
    ],
)
def test_each_way_out_of_ipxe_is_gone_on_its_firmware(way: str, uefi: str, bios: str) -> None:
    """The script is run. `sanboot` is also gone on UEFI, which `auto` leaves by ``exit 1``; without a GRUB its way is as `auto`."""
    script = CATALOG.localboot(FakeNode(localboot=way))
    for platform, left in (("efi", uefi), ("pcbios", bios)):
        machine = Ipxe(mac="52:54:00:12:34:56", platform=platform, fetch=lambda _url: None, sleep=lambda _seconds: None)
        assert machine.run(script) == Left(left)


def test_a_node_may_leave_ipxe_through_grub_where_there_is_one() -> None:
    """GRUB takes the server that it asks for its configuration from iPXE's settings."""
    script = CATALOG.localboot(FakeNode(localboot="grub"), "ipxe", "http://10.0.0.1:8080", "secureboot/x86_64/grubx64.efi")
    assert "chain http://10.0.0.1:8080/b/secureboot/x86_64/grubx64.efi || goto leave" in script
    assert "set netX/next-server 10.0.0.1\n" in script
    assert "sanboot" not in script
    without = CATALOG.localboot(FakeNode(localboot="grub"), "ipxe", "http://10.0.0.1:8080", None)
    assert "there is no GRUB" in without
    assert "iseq ${platform} efi && goto leave || goto disk" in without
    off = CATALOG.localboot(FakeNode(localboot="poweroff"), "ipxe", "http://10.0.0.1:8080", "secureboot/x86_64/grubx64.efi")
    assert off.index("poweroff || ") < off.index("chain http://10.0.0.1:8080/b/secureboot/x86_64/grubx64.efi || goto leave")


def test_nobody_in_particular_also_gets_a_way_out() -> None:
    assert "exit 1" in CATALOG.localboot(None)


@pytest.mark.parametrize(
    ("base", "host", "port"),
    [
        ("http://10.0.0.1", "10.0.0.1", 80),
        ("http://10.0.0.1:8080", "10.0.0.1", 8080),
        ("http://[2001:db8::1]:81", "2001:db8::1", 81),
        ("http://[::1]", "::1", 80),
    ],
)
def test_urls_know_host_and_port_of_their_base(base: str, host: str, port: int) -> None:
    urls = Urls(base, TOKEN)
    assert (urls.host, urls.port) == (host, port)
    assert urls.notify("booted") == f"{base}/i/{TOKEN}/notify/booted"
    assert TOKEN not in repr(urls)


def test_the_options_of_an_install_are_bounded() -> None:
    with pytest.raises(InvalidRequest, match="more than 2000 values") as refused:
        Catalog().prepare("debian", "12", {"packages": [f"p{number}" for number in range(2000)], "hostname": "web1"})
    assert refused.value.field == "options"
    assert Catalog().prepare("debian", "12", {"packages": [f"p{number}" for number in range(1999)], "hostname": "web1"})
