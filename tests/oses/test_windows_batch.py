"""The batch files that Windows PE and Windows run, run by another cmd.exe: Wine's. Its programs are fakes (tests/oses/winpe.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pxed.oses import escape
from tests.oses.families import sample
from tests.oses.samples import HOSTILE
from tests.oses.samples_windows import SHARE_PASSWORD
from tests.oses.windows_files import rendered
from tests.oses.winpe import HERE, MISSING, SATA, UEFI, USB, Machine, shared

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HERE, reason=MISSING)]

REBOOT = ("reboot",)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(shared(), tmp_path)


def without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


FULL = sample("windows", "full")
BY_HTTP = without(FULL, "smbRepo", "smbUser", "smbPassword")


def windows_pe(machine: Machine, options: dict[str, Any], *, image: bool = True) -> dict[str, str]:
    """Boot the machine into Windows PE with this install; its files."""
    files = rendered("2022", options)
    machine.serve({**files, **({"install.wim": "an image"} if image else {})})
    machine.run(files["pxed.cmd"], name="pxed.cmd")
    return files


def words_of(machine: Machine, program: str) -> list[tuple[str, ...]]:
    return [call.words for call in machine.calls(program)]


# ---- one word stays one word

VALUES = [
    "%PATH%", "100%", "%%x%%", "a&b", "a&&exit", "a|b", "a<b", "a>b", "a^b", "^", "(x)", ")", "!x!", "'", "`", "=", ";", ",", "~", "*?",
    " a b ",    "@echo", "::", "rem x", "a\\b", "/c:x", "#1 =x/y:z@+", "$(touch pwned)", SHARE_PASSWORD,
]  # fmt: skip


def test_escaped_values_reach_a_program_as_they_are(machine: Machine) -> None:
    lines = ["@echo off", "setlocal EnableExtensions DisableDelayedExpansion", *(f"net {escape.cmd(value)} end" for value in VALUES)]
    machine.run("\r\n".join([*lines, ""]))
    assert words_of(machine, "net") == [(value, "end") for value in VALUES]


def test_escaped_values_pass_through_a_variable(machine: Machine) -> None:
    quoted = [value for value in VALUES if not set(value) & set("&|<>^)%")]  # Wine expands a variable's text once more, Windows doesn't
    lines = ["@echo off", "setlocal EnableExtensions DisableDelayedExpansion"]
    for value in quoted:
        lines += [f"set {escape.cmd('x=' + value)}", 'net "%x%" end']
    machine.run("\r\n".join([*lines, ""]))
    assert words_of(machine, "net") == [(value, "end") for value in quoted]


def test_this_oracle_would_notice_a_missing_escape(machine: Machine) -> None:
    machine.run('@echo off\r\nnet "%OS%" end\r\nnet a&net b\r\n')
    assert words_of(machine, "net") == [("Windows_NT", "end"), ("a",), ("b",)]


# ---- Windows PE


def test_the_image_is_fetched_applied_and_made_bootable(machine: Machine) -> None:
    """The first disk is on USB, the image breaks off twice, the appliance is away for the first word."""
    machine.rule("reg", output=UEFI)
    machine.rule("diskpart", text="select disk 0", output=USB)
    machine.rule("diskpart", text="detail disk", output=SATA)
    machine.rule("curl", text="install.wim", status=18, times=2)
    machine.rule("curl", text="/notify/started", status=7, times=1)
    files = windows_pe(machine, BY_HTTP)
    chosen = [script for words in words_of(machine, "diskpart") for script in words if "clean" in script]
    assert chosen == ["select disk 2\r\n" + files["disk-uefi.txt"]]
    images = [words for words in words_of(machine, "curl") if words[-1].endswith("/repo/windows-2022/sources/install.wim")]
    assert len(images) == 3
    assert all(words[5:8] == ("20", "-C", "-") for words in images)
    assert words_of(machine, "dism") == [
        ("/Apply-Image", "/ImageFile:W:\\pxed\\install.wim", "/Index:2", "/ApplyDir:W:\\", "/ScratchDir:W:\\pxed")
    ]
    assert words_of(machine, "bcdboot") == [("W:\\Windows", "/s", "S:", "/f", "uefi")]
    assert [told[:2] for told in machine.told()] == [("started", "ok"), ("started", "ok"), ("installed", "ok")]
    assert words_of(machine, "wpeutil")[-1] == REBOOT


def test_the_new_system_has_its_answers_and_scripts_and_nothing_of_ours_besides(machine: Machine) -> None:
    files = windows_pe(machine, without(BY_HTTP, "installDisk"))
    scripts = machine.folder / "W/Windows/Setup/Scripts"
    for place, name in (
        ("W/Windows/Panther/unattend.xml", "unattend.xml"),
        ("W/Windows/Setup/Scripts/SetupComplete.cmd", "SetupComplete.cmd"),
        ("W/Windows/Setup/Scripts/pxed/specialize.cmd", "specialize.cmd"),
        ("W/Windows/Setup/Scripts/pxed/firstboot-1.cmd", "firstboot-1.cmd"),
        ("W/Windows/Setup/Scripts/pxed/firstboot-2.cmd", "firstboot-2.cmd"),
    ):
        assert (machine.folder / place).read_bytes().decode() == files[name], name
    assert (scripts / "pxed/curl.exe").read_bytes()[:2] == b"MZ"
    assert not (machine.folder / "W/pxed").exists()


def test_bios_machines_are_divided_and_booted_as_such(machine: Machine) -> None:
    files = windows_pe(machine, {"rootPassword": "S3cret-word"})
    assert "select disk 0\r\n" + files["disk-bios.txt"] in words_of(machine, "diskpart")[-1]
    assert words_of(machine, "bcdboot")[0][-1] == "bios"


def test_the_image_comes_from_a_share_with_a_hostile_password(machine: Machine) -> None:
    (machine.folder / "Y/sources").mkdir()
    (machine.folder / "Y/sources/install.esd").write_text("an image")
    machine.rule("net", status=2, output="System error 53 has occurred.\n", times=1)
    windows_pe(machine, without(FULL, "installDisk"), image=False)
    used = ("use", "Y:", "\\\\10.0.2.4\\windows\\2022 R2", SHARE_PASSWORD, "/user:EXAMPLE\\reader", "/persistent:no")
    assert words_of(machine, "net") == [used, used]
    assert words_of(machine, "dism")[0][1:3] == ("/ImageFile:Y:\\sources\\install.esd", "/Index:2")
    assert machine.told()[-1][:2] == ("installed", "ok")
    temporary = machine.prefix.drive_c / "users"
    assert not [path for path in temporary.rglob("pxed-*") if path.is_file() and SHARE_PASSWORD.replace("%", "%%") in path.read_text()]


def test_a_share_without_an_image_says_so(machine: Machine) -> None:
    windows_pe(machine, without(FULL, "installDisk"), image=False)
    phase, status, message = machine.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert message.splitlines() == ["The share has no image:", "neither sources\\install.wim nor sources\\install.esd is there"]
    assert not machine.calls("dism")


def test_dism_s_own_words_are_told_without_its_progress(machine: Machine) -> None:
    said = "Deployment Image Servicing\n[==== 10.0% ====]\n\nError: 112\n\nThere is not enough space on the disk.\n"
    machine.rule("dism", status=112, output=said)
    windows_pe(machine, {"rootPassword": "S3cret-word"})
    phase, status, message = machine.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert [line for line in message.splitlines() if line] == [
        "The image cannot be applied:", "Deployment Image Servicing", "Error: 112", "There is not enough space on the disk."
    ]  # fmt: skip
    assert not machine.calls("bcdboot")
    assert words_of(machine, "wpeutil")[-1] == REBOOT


def test_a_crashed_program_is_a_failure_too(machine: Machine) -> None:
    """Its status is negative."""
    machine.rule("bcdboot", status=-1073741819)
    windows_pe(machine, {"rootPassword": "S3cret-word"})
    assert machine.told()[-1][:2] == ("installed", "fail")


def test_a_file_that_cannot_be_had_ends_it_with_curls_words(machine: Machine) -> None:
    files = rendered("2022", {"rootPassword": "S3cret-word"})
    machine.serve({**without(files, "unattend.xml"), "install.wim": "an image"})
    machine.run(files["pxed.cmd"], name="pxed.cmd")
    phase, status, message = machine.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert message.splitlines() == [
        "The answer file cannot be put into the new system:", "curl: (22) The requested URL returned error: 404"
    ]  # fmt: skip


@pytest.mark.parametrize(("second", "fits"), [(SATA, True), (USB, False)])
def test_a_disk_is_chosen_by_its_model_and_if_none_fits_the_disks_are_listed(machine: Machine, second: str, fits: bool) -> None:
    machine.rule("diskpart", text="select disk 0", output="\nSamsung SSD\nType   : NVMe\n")
    machine.rule("diskpart", text="select disk 1", output=second)
    machine.rule("diskpart", text="detail", status=1)
    windows_pe(machine, without(sample("windows", "hostile"), "scripts", "after"))
    divided = [script for words in words_of(machine, "diskpart") for script in words if "clean" in script]
    if fits:
        assert [script.splitlines()[0] for script in divided] == ["select disk 1"]
        return
    assert not divided
    phase, status, message = machine.told()[-1]
    assert (phase, status) == ("installed", "fail")
    assert [line for line in message.splitlines() if line][:4] == ["No disk fits:", "The disks are:", "disk 0:", "Samsung SSD"]


@pytest.mark.parametrize("reaction", ["report", "fail"])
def test_the_operators_commands_run_in_windows_pe_and_their_failure_is_told(machine: Machine, reaction: str) -> None:
    post = ['echo %OS%^&x>"%pxed_target%\\one.txt"', "rem nothing\nexit /b 3", 'echo two>"%pxed_target%\\two.txt"']
    options = {"rootPassword": "S3cret-word", "scripts": {"post": post}, "onScriptFailure": reaction}
    windows_pe(machine, options)
    assert (machine.folder / "W/one.txt").read_text().strip() == "Windows_NT&x"
    assert (machine.folder / "W/two.txt").exists()
    assert machine.told()[-1] == ("installed", "fail" if reaction == "fail" else "ok", " scripts.post 2 ended with status 3.\r\n")


def test_hostile_commands_cannot_stop_the_installer(machine: Machine) -> None:
    windows_pe(machine, {"rootPassword": "S3cret-word", "scripts": {"post": HOSTILE}})
    assert machine.told()[-1][:2] == ("installed", "ok")
    assert not list(machine.folder.rglob("pwned*"))


def test_a_node_that_is_to_be_switched_off_is(machine: Machine) -> None:
    windows_pe(machine, {"rootPassword": "S3cret-word", "after": "poweroff"})
    assert words_of(machine, "wpeutil")[-1] == ("shutdown",)


# ---- Windows


def first_boot(machine: Machine, options: dict[str, Any]) -> dict[str, str]:
    """Run SetupComplete.cmd where Windows PE has put it."""
    files = rendered("2022", options)
    scripts = machine.folder / "W/Windows/Setup/Scripts"
    (scripts / "pxed").mkdir(parents=True)
    (scripts / "pxed/curl.exe").write_bytes((machine.prefix.folder / "fake.exe").read_bytes())
    for name, text in files.items():
        if name.startswith("firstboot-"):
            (scripts / "pxed" / name).write_bytes(text.encode())
    machine.apply("W")
    panther = machine.folder / "W/Windows/Panther"
    panther.mkdir()
    (panther / "unattend.xml").write_text("secrets")
    machine.run(files["SetupComplete.cmd"], name="SetupComplete.cmd", at=scripts, system="W")
    return files


@pytest.mark.parametrize("reaction", ["report", "fail"])
def test_the_first_boot_runs_the_operators_commands_and_tells(machine: Machine, reaction: str) -> None:
    commands = ["echo %OS%^&x>W:\\one.txt", "exit 5", "echo three>W:\\three.txt"]
    machine.rule("curl", text="/notify/booted", status=7, times=2)
    first_boot(machine, {**FULL, "scripts": {"firstboot": commands}, "onScriptFailure": reaction})
    assert (machine.folder / "W/one.txt").read_text().strip() == "Windows_NT&x"
    assert (machine.folder / "W/three.txt").exists()
    status = "fail" if reaction == "fail" else "ok"
    told = machine.told()
    assert told[0] == ("configured", "ok", "Windows' own setup is over\r\n")
    assert told[1:] == [("booted", status, " scripts.firstboot 2 ended with status 5.\r\n")] * 3
    assert ("/config", "/manualpeerlist:ntp1.example.com,0x8 10.0.2.3,0x8", "/syncfromflags:manual", "/update") in words_of(
        machine, "w32tm"
    )


def test_the_first_boot_leaves_nothing_behind(machine: Machine) -> None:
    first_boot(machine, {"rootPassword": "S3cret-word"})
    assert machine.told()[-1] == ("booted", "ok", "the installed system runs\r\n")
    assert not (machine.folder / "W/Windows/Panther/unattend.xml").exists()
    assert not (machine.folder / "W/Windows/Setup/Scripts/pxed").exists()
    assert not (machine.folder / "W/Windows/Setup/Scripts/SetupComplete.cmd").exists()


@pytest.mark.parametrize("status", [0, 7])
def test_the_specialize_pass_is_never_stopped(machine: Machine, status: int) -> None:
    files = rendered("2022", {"rootPassword": "S3cret-word"})
    machine.rule("curl", status=status)
    (machine.folder / "W/curl.exe").write_bytes((machine.prefix.folder / "fake.exe").read_bytes())
    machine.serve({"specialize.cmd": files["specialize.cmd"]})
    (machine.folder / "W/specialize.cmd").write_bytes(files["specialize.cmd"].encode())
    machine.run("@echo off\r\ncmd /d /c W:\\specialize.cmd\r\nnet status %errorlevel%\r\n")
    assert words_of(machine, "net") == [("status", "0")]
    assert machine.calls("curl")[0].url.endswith("/progress?percent=75")
