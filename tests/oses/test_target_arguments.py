"""Kernel arguments of the installed system: each way to its boot loader is walked with the programs that are on it (sh, sed, GRUB's own
parser), and what would not arrive is refused by name.

Read for it: grub-pc's postinst and 10_linux (GRUB 2.06 of Debian 12), GRUB's lexer, Fedora's blsuki.c, curtin's install_grub.py, YaST's
cfa/grub2, setup-disk of alpine-conf. grub-installer's own script could not be had.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.features import refusals
from pxed.oses.strict import parse
from tests.oses.families import RESOURCES, sample
from tests.oses.samples import HOSTILE_TARGET, URLS, FakeNode

CATALOG = Catalog(resources=RESOURCES)
FAMILIES = [name for name, family in CATALOG.families.items() if "targetKernelArgs" not in family.options.refused]
LETTERS = [chr(code) for code in range(33, 127)]
OWN = "console=tty0 video=HDMI-A-1:1024x768 crashkernel=1G-4G:192M,4G-:256M ip=10.0.0.2::10.0.0.1:255.255.255.0:web1:eth0:none"
"""What people do want to say."""
NEEDS_GRUB = pytest.mark.skipif(not shutil.which("grub-script-check"), reason="grub-script-check is not installed (apt: grub-common)")


def asked(family: str, arguments: str) -> dict[str, Any]:
    return {**sample(family, "minimal"), "targetKernelArgs": arguments}


def refusal(family: str, arguments: str) -> str:
    """Why the option can't be `arguments` for `family`; "" if it can."""
    options = CATALOG.families[family].options
    try:
        parse(options, asked(family, arguments), field="options", refused=refusals(options, family))
    except InvalidRequest as refused:
        return str(refused) if refused.field == "options.targetKernelArgs" else f"{refused.field}?"
    return ""


def sourced(file: str, name: str) -> str | None:
    """What a shell that reads `file` has in `name`; None if it can't read it."""
    run = subprocess.run(["sh", "-euc", f'{file}\nprintf %s "${name}"'], capture_output=True, text=True, timeout=30, check=False)
    return None if run.returncode else run.stdout


def arrives(words: str) -> bool:
    """Whether the kernel is given `words` that stand between double quotes in /etc/default/grub."""
    bare = sourced(f'A="{words}"', "A")
    return bare is not None and one_list(bare) and re.sub(r"\\(.)", r"\1", bare) == words


def replaced(delimiter: str, value: str, *program: str) -> str:
    """A line ``A=...`` whose value a sed script has put between double quotes."""
    script = f's{delimiter}^A=.*{delimiter}A="{value}"{delimiter}'
    return subprocess.run([*program, "-e", script], input="A=\n", capture_output=True, text=True, timeout=30, check=True).stdout


def one_list(words: str) -> bool:
    """Whether `words` are words and nothing else to GRUB: they may stand where it takes only those."""
    script = f"for each in {words}; do\n  true\ndone\n"
    return subprocess.run(["grub-script-check"], input=script, text=True, capture_output=True, timeout=30).returncode == 0


@NEEDS_GRUB
@pytest.mark.parametrize("family", FAMILIES)
def test_each_letter_arrives_or_is_refused_by_name(family: str) -> None:
    """As one letter of a value, and at its beginning."""
    taken = [letter for letter in LETTERS if not refusal(family, f"a=x{letter}y") and letter != '"']
    for letter in set(LETTERS) - set(taken):
        assert letter in refusal(family, f"a=x{letter}y")
    if family == "photon":  # its words are quoted: test_photon.py
        return
    words = " ".join(f"a=x{letter}y" for letter in taken)
    escaped = re.sub(r"([\\@])", r"\\\1", re.sub(r'([$`"\\])', r"\\\1", words))
    assert sourced(replaced("@", escaped, "sed", "-r"), "A") == words, "Debian's package has sed write it"
    assert arrives(words), "YaST, curtin and anaconda write it as it is"
    begins = " ".join(f"{letter}=1" for letter in LETTERS if letter in taken and not refusal(family, f"{letter}=1"))
    assert arrives(begins)
    assert "#" not in begins


@NEEDS_GRUB
def test_what_is_refused_would_really_be_lost() -> None:
    """So that nothing is refused for nothing."""
    for letter in CATALOG.families["debian"].options.lost_in_arguments:
        assert not arrives(f"a=x{letter}y"), letter
    assert not arrives("a=b #c d=e")
    assert "begins with '#'" in refusal("debian", "a=b #c")


@pytest.mark.parametrize("family", FAMILIES)
def test_useful_and_hostile_arguments_are_taken(family: str) -> None:
    for arguments in (OWN, HOSTILE_TARGET):
        assert refusal(family, arguments) == ""


@NEEDS_GRUB
@pytest.mark.parametrize("arguments", [OWN, HOSTILE_TARGET])
def test_grub_takes_them_as_words(arguments: str) -> None:
    assert one_list(arguments)


def test_only_where_no_shell_reads_them_are_double_quotes_taken_and_those_in_pairs() -> None:
    assert refusal("fcos", 'dyndbg="file a.c +p"') == ""
    assert refusal("photon", 'dyndbg="file a.c +p"') == ""
    for family in ("fcos", "photon"):
        assert 'every double quote (") is closed' in refusal(family, 'a="b')
    for family in sorted({*FAMILIES} - {"fcos", "photon"}):
        assert 'without "' in refusal(family, 'a="b c"'), family


def test_suses_installers_keep_their_own_arguments_for_the_system_too() -> None:
    """Of yast-bootloader: what is proposed begins with the installer's command line, and a profile's arguments are put behind that."""
    for family in FAMILIES:
        options = CATALOG.families[family].options
        given = {**sample(family, "minimal"), "kernelArgs": "ds=a;b"}
        if family in ("sles", "leap"):
            with pytest.raises(InvalidRequest, match="without ;") as refused:
                parse(options, given, field="options", refused=refusals(options, family))
            assert refused.value.field == "options.kernelArgs"
        else:
            assert parse(options, given, field="options", refused=refusals(options, family)).kernelArgs == "ds=a;b"


# Alpine: setup-disk hands them to sed, between colons, for syslinux, and writes them as they are for GRUB


def kernel_options(arguments: str) -> str:
    text = CATALOG.preview(CATALOG.prepare("alpine", None, asked("alpine", arguments)), FakeNode(), URLS)["install.sh"]
    (line,) = re.findall(r"(?m)^KERNELOPTS=.*$", text)
    return sourced(line, "KERNELOPTS") or ""


@pytest.mark.parametrize("arguments", [OWN, HOSTILE_TARGET])
@pytest.mark.parametrize("sed", ["sed", "busybox sed"])
def test_colons_survive_alpines_sed(arguments: str, sed: str) -> None:
    if shutil.which(shlex.split(sed)[0]) is None:
        pytest.skip("busybox is not installed")
    written = replaced(":", kernel_options(arguments), *shlex.split(sed))
    assert sourced(written, "A") == f"quiet {arguments}"
    with pytest.raises(subprocess.CalledProcessError):
        replaced(":", arguments, *shlex.split(sed))


@NEEDS_GRUB
@pytest.mark.parametrize("arguments", [OWN, HOSTILE_TARGET])
def test_colons_survive_alpines_grub(arguments: str) -> None:
    bare = sourced(f'A="{kernel_options(arguments)}"', "A") or ""
    assert one_list(bare)
    assert re.sub(r"\\(.)", r"\1", bare) == f"quiet {arguments}", "GRUB takes a backslash off in front of any letter"
