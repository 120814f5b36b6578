"""GRUB's scripts: the same profile data as iPXE's, and nothing that a value holds is run. `grub-script-check` reads them if it is there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pxed.oses import grub
from pxed.oses.catalog import Catalog
from pxed.oses.debian import DEBIAN
from pxed.oses.escape import Unwritable
from tests.oses.samples import FULL, HOSTILE, MINIMAL, TOKEN, URLS, FakeInstall, FakeNode, hostile, install_of

CHECK = shutil.which("grub-script-check")
CATALOG = Catalog()
MAC = "52:54:00:aa:bb:cc"


def checked(script: str) -> str:
    """The script, found good by GRUB's own parser where that is installed."""
    if CHECK is not None:
        done = subprocess.run([CHECK], input=script, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    return script


def script(options: Mapping[str, Any] = MINIMAL, *, release: str = "12", node: FakeNode | None = None, catalog: Catalog = CATALOG) -> str:
    install = install_of(catalog.prepare("debian", release, options))
    return checked(catalog.grub(install, node or FakeNode(arch=7), URLS, MAC))


def command(text: str, name: str) -> list[str]:
    """The words of the first command `name`; GRUB's single quotes are the shell's."""
    (line,) = re.findall(rf"^ *(?:if )?{name} (.*?)(?:; then)?$", text, re.MULTILINE)[:1]
    return shlex.split(line)


@pytest.mark.parametrize("options", [MINIMAL, FULL], ids=["minimal", "full"])
def test_grub_and_ipxe_start_the_same_kernel_with_the_same_words(options: dict[str, Any]) -> None:
    install, node = install_of(CATALOG.prepare("debian", "12", options)), FakeNode(arch=7)
    ipxe = CATALOG.profile(install, node, URLS)
    (kernel,) = re.findall(r"^kernel --name linux (.*?) \|\| goto again$", ipxe, re.MULTILINE)
    (initrd,) = re.findall(r"^initrd --name initrd.gz (.*?) \|\|", ipxe, re.MULTILINE)
    url, _initrd_name, *arguments = kernel.split()
    place, *given = command(script(options, node=node), "linux")
    assert place == url.replace("http://", "(http,", 1).replace("/", ")/", 1)
    assert [word for word in given if not word.startswith("BOOTIF=")] == [word for word in arguments if not word.startswith("BOOTIF=")]
    assert command(script(options, node=node), "initrd") == [initrd.replace("http://", "(http,", 1).replace("/", ")/", 1)]


def test_bootif_is_the_nic_that_asks_unless_the_operator_chose_one() -> None:
    assert "BOOTIF=01-52-54-00-aa-bb-cc" in command(script(), "linux")
    assert "BOOTIF=01-52-54-00-00-00-01" in command(script({"installInterface": "52:54:00:00:00:01"}), "linux")


@pytest.mark.parametrize(("arch", "folder"), [(7, "amd64"), (16, "amd64"), (None, "amd64"), (11, "arm64"), (19, "arm64")])
def test_the_images_are_those_of_the_nodes_architecture(arch: int | None, folder: str) -> None:
    (place, *_) = command(script(node=FakeNode(arch=arch)), "linux")
    assert place.endswith(f"/installer-{folder}/current/images/netboot/debian-installer/{folder}/linux")


def test_a_failure_is_told_to_pxed_and_leaves_for_the_disk() -> None:
    text = script()
    told = command(text, "cat")[0]
    assert told.startswith(f"(http,10.0.2.2:8080)/i/{TOKEN}/notify/started?status=fail&message=GRUB%20could")
    assert text.index("boot\n") < text.index("/notify/started") < text.index("chainloader") < text.index("\nexit\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(name: str) -> None:
    for text in (script(hostile(), node=FakeNode(name=name, arch=7)), checked(CATALOG.localboot(FakeNode(name=name), "grub"))):
        for line in text.splitlines():
            outside = re.sub(r"'[^']*'|\\'", "", line)
            assert line.startswith("#") or not re.search(r"[`&|{}]|\$\(|touch", outside), line


@pytest.mark.parametrize("arguments", ["a='b", "path=C:\\x"])
def test_an_argument_that_grub_would_change_is_refused_in_words(arguments: str) -> None:
    text = script({"kernelArgs": arguments})
    assert "GRUB cannot hand the kernel a single quote or a backslash" in text
    assert not re.search(r"^ *(if )?linux ", text, re.MULTILINE)
    assert "/notify/started?status=fail" in text


def test_a_family_without_a_kernel_is_refused_in_words() -> None:
    def without(*given: Any) -> dict[str, Any]:
        return {name: value for name, value in DEBIAN.context(*given).items() if name != "boot"}

    catalog = Catalog([replace(DEBIAN, context=without, boot=None)])
    install = FakeInstall("debian", "12", catalog.families["debian"].options().stored())
    text = checked(catalog.grub(install, FakeNode(), URLS, MAC))
    assert "GRUB cannot start the installer of Debian 12 (bookworm), iPXE can" in text
    assert "/notify/started?status=fail" in text


@pytest.mark.parametrize(
    ("way", "ends"),
    [(None, "exit"), ("auto", "exit"), ("sanboot", "exit"), ("grub", "exit"), ("exit1", "exit"), ("exit0", "exit"), ("poweroff", "halt")],
)
def test_nothing_to_install_leaves_the_way_the_node_wants(way: str | None, ends: str) -> None:
    text = checked(CATALOG.localboot(FakeNode(localboot=way), "grub"))
    assert text.splitlines()[-1].strip() == ends
    assert ("chainloader" in text) == (way not in ("exit1", "exit0", "poweroff"))


def test_the_disks_loader_is_found_through_root() -> None:
    """Debian's chainloader takes the device from $root: a file named with its device came out as a file of the network card."""
    text = CATALOG.localboot(FakeNode(), "grub")
    assert "search --no-floppy --set=root --file" in text
    assert "chainloader (" not in text


def test_the_common_name_leads_to_the_nodes_own_where_it_came_from() -> None:
    """From TFTP by TFTP and from HTTP by HTTP: GRUB's TFTP crashed the machine after UEFI HTTP Boot."""
    text = checked(CATALOG.which())
    assert "source $config_directory/grub.cfg-01-$net_default_mac\n" in text


@pytest.mark.parametrize(
    ("value", "written"),
    [("plain", "'plain'"), ("it's", "'it'\\''s'"), ('$x `y` "z" && || ; # {}', "'$x `y` \"z\" && || ; # {}'"), (7, "'7'"), ("", "''")],
)
def test_a_word_is_quoted(value: Any, written: str) -> None:
    assert grub.word(value) == written


def test_the_longest_word_passes_grubs_scanner() -> None:
    checked(f"echo {grub.word(chr(39) * 1000 + 'x' * 3000)}\n")


@pytest.mark.parametrize("value", ["two\nlines", "tab\t", "ü", "\x7f", "nul\0", "x" * 4001, None, ["list"]])
def test_a_word_that_grub_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(Unwritable):
        grub.word(value)


@pytest.mark.parametrize(
    ("line", "words"),
    [("a b=c", "'a' 'b=c'"), ('dyndbg="file a.c +p" q', "'dyndbg=file a.c +p' 'q'"), ("", ""), ("  a   b ", "'a' 'b'")],
)
def test_a_command_line_becomes_words(line: str, words: str) -> None:
    assert grub.words(line) == words


@pytest.mark.parametrize("line", ["it's", "a\\b", 'open "quote', "a\nü"])
def test_a_command_line_that_grub_would_change_is_refused(line: str) -> None:
    with pytest.raises(Unwritable):
        grub.words(line)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://10.0.0.1/linux", "'(http,10.0.0.1)/linux'"),
        ("http://10.0.0.1:8080/a/b?x=1&y=%20", "'(http,10.0.0.1:8080)/a/b?x=1&y=%20'"),
        ("http://mirror.example.com", "'(http,mirror.example.com)/'"),
    ],
)
def test_a_url_becomes_a_place(url: str, place: str) -> None:
    assert grub.place(url) == place


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/x", "tftp://10.0.0.1/x", "/x", "http:///x", "http://u:p@h/x", "http://[::1]/x", "http://a'b/x"]
)
def test_a_url_that_grub_cannot_fetch_is_refused(url: str) -> None:
    with pytest.raises(Unwritable):
        grub.place(url)
