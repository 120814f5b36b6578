"""`pxed node`: what is printed, what is sent, what is refused."""

from __future__ import annotations

import pytest

from tests.cli.fake import Appliance, a_node, an_error, an_install


def test_the_list_shows_each_machine_with_its_state_the_last_seen_first(appliance: Appliance) -> None:
    late = a_node(id="11", name="web1", macs=["52:54:00:00:00:01"], last_seen="2026-05-22T11:59:30Z", state="installing")
    appliance.api.routes["GET", "nodes"] = (200, {"nodes": [a_node(), late]})
    lines = appliance.pxed("node", "list").stdout.splitlines()
    assert lines[0].split() == ["NODE", "MAC", "ARCHITECTURE", "ADDRESS", "STATE", "SEEN", "ID"]
    assert lines[1].startswith("web1  ")
    assert "installing" in lines[1]
    assert "30 s ago" in lines[1]
    assert "x86_64 UEFI" in lines[2]
    assert "3 m 00 s ago" in lines[2]


def test_the_list_can_be_narrowed_and_read_by_programs(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes"] = (200, {"nodes": [a_node(), a_node(id="2", state="failed")]})
    assert [n["id"] for n in appliance.json("node", "list", "--state", "failed")["nodes"]] == ["2"]
    assert len(appliance.json("node", "list")["nodes"]) == 2


def test_an_empty_list_says_what_to_do(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes"] = (200, {"nodes": []})
    assert "pxed doctor" in appliance.pxed("node", "list").stdout


def test_show_begins_with_the_verdict(appliance: Appliance) -> None:
    verdict = "It stopped after the offer: the firmware never asked for the file"
    node = a_node(name="web1", verdict=verdict, install=an_install())
    appliance.api.routes["GET", "nodes/web1"] = (200, node)
    out = appliance.pxed("node", "show", "web1").stdout
    assert out.splitlines()[0] == "web1"
    assert out.splitlines()[1].split(maxsplit=1) == ["verdict:", verdict]
    assert "3f2a9c01d4: debian 12, running, 10 %, The installer runs" in out
    assert appliance.json("node", "show", "web1") == node


def test_a_mac_with_colons_reaches_the_api_as_one_path_segment(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes/52%3A54%3A00%3A12%3A34%3A56"] = (200, a_node(verdict="", install=None))
    assert appliance.pxed("node", "show", "52:54:00:12:34:56").exit_code == 0
    assert appliance.pxed("node", "show", "../installs").exit_code == 1
    assert appliance.api.asked[-1][1] == "nodes/..%2Finstalls"


def test_what_a_machine_says_cannot_steer_the_terminal(appliance: Appliance) -> None:
    """Vendor classes, names and syslog come from the network."""
    evil = "\x1b[2J\x1b]0;owned\x07[bold]x[/bold]\u202e\r\nfake line"
    appliance.api.routes["GET", "nodes/x"] = (200, a_node(vendor_class=evil, verdict=evil, install=None))
    out = appliance.pxed("node", "show", "x").stdout
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(out)
    assert "[bold]x[/bold]" in out
    assert not any(line.startswith("fake line") for line in out.splitlines())


def test_naming_and_taking_a_name_away(appliance: Appliance) -> None:
    appliance.api.routes["PATCH", "nodes/9f3c"] = lambda body: (200, a_node(name=body["name"]))
    assert appliance.pxed("node", "name", "9f3c", "web1").stdout == "web1 is its name now.\n"
    assert appliance.pxed("node", "name", "9f3c", "").stdout == "52:54:00:12:34:56 is its name now.\n"
    assert [asked[2] for asked in appliance.api.asked] == [{"name": "web1"}, {"name": None}]


def test_adding_a_machine_before_it_is_seen(appliance: Appliance) -> None:
    appliance.api.routes["POST", "nodes"] = lambda body: (201, a_node(macs=[body["mac"]], name=body.get("name")))
    assert appliance.pxed("node", "add", "52:54:00:00:00:09", "--name", "db1").stdout == "db1 is known as 9f3c0a11.\n"
    assert appliance.json("node", "add", "52:54:00:00:00:09")["macs"] == ["52:54:00:00:00:09"]


def test_the_way_out_of_ipxe_is_per_node_and_auto_takes_it_back(appliance: Appliance) -> None:
    appliance.api.routes["PATCH", "nodes/web1"] = lambda body: (200, a_node(name="web1", **body))
    assert appliance.pxed("node", "localboot", "web1", "exit0").stdout == "web1 leaves iPXE with exit0.\n"
    assert appliance.pxed("node", "localboot", "web1", "auto").exit_code == 0
    assert [asked[2] for asked in appliance.api.asked] == [{"localboot": "exit0"}, {"localboot": None}]


def test_a_machines_own_boot_program_is_set_and_taken_back(appliance: Appliance) -> None:
    appliance.api.routes["PATCH", "nodes/web1"] = lambda body: (200, a_node(name="web1", boot_program=body["boot_program"]))
    assert appliance.pxed("node", "program", "web1", "shim-grub").stdout == "web1 is given shim-grub.\n"
    assert appliance.api.asked[-1][2] == {"boot_program": "shim-grub"}
    assert appliance.pxed("node", "program", "web1", "a{b}.efi").stdout == "web1 is given a{b}.efi.\n"
    assert appliance.pxed("node", "program", "web1", "auto").stdout == "web1 is given the usual boot program.\n"
    assert appliance.api.asked[-1][2] == {"boot_program": None}
    appliance.api.routes["PATCH", "nodes/web1"] = (422, an_error("web1 can't be given that: there is none", "boot_program"))
    refused = appliance.pxed("node", "program", "web1", "gone.efi")
    assert (refused.exit_code, "can't be given that" in refused.output) == (1, True)


def test_a_quarantined_machine_is_shown_and_released(appliance: Appliance) -> None:
    held = a_node(name="web1", state="installing", refused={"reason": "quarantined", "text": "why", "left": None})
    appliance.api.routes["GET", "nodes"] = (200, {"nodes": [held]})
    assert "installing (quarantined)" in appliance.pxed("node", "list").stdout
    assert appliance.json("node", "list", "--state", "installing")["nodes"] == [held]
    facts = {"manufacturer": "Lenovo", "product": "ThinkPad X1"}
    appliance.api.routes["GET", "nodes/web1"] = (200, {**held, "verdict": "Quarantined", "install": None, "facts": facts})
    out = appliance.pxed("node", "show", "web1").stdout
    assert "installing (quarantined)" in out
    assert "Lenovo ThinkPad X1" in out
    appliance.api.routes["POST", "nodes/web1/release"] = (200, a_node(name="web1"))
    assert appliance.pxed("node", "release", "web1").stdout == "web1 may boot from the network.\n"
    assert appliance.api.asked[-1][:2] == ("POST", "nodes/web1/release")


def test_the_lines_for_the_sites_own_server_can_be_pasted_out(appliance: Appliance) -> None:
    pieces = [
        {"server": "ISC dhcpd", "file": "/etc/dhcp/dhcpd.conf", "text": "host x {\n  next-server 10.0.0.1;\n}\n"},
        {"server": "Kea", "file": "kea.json", "text": '"client-classes": []\n'},
    ]
    appliance.api.routes["GET", "nodes/web1/dhcp"] = (200, {"lines": pieces})
    out = appliance.pxed("node", "dhcp", "web1").stdout
    assert "# ISC dhcpd: /etc/dhcp/dhcpd.conf\nhost x {\n  next-server 10.0.0.1;\n}\n" in out
    assert appliance.pxed("node", "dhcp", "web1", "--server", "kea").stdout == '# Kea: kea.json\n"client-classes": []\n'
    assert appliance.json("node", "dhcp", "web1", "--server", "isc")["lines"] == pieces[:1]


def test_lines_for_a_server_that_there_are_none_for_are_wrong_use(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes/web1/dhcp"] = (200, {"lines": [{"server": "Kea", "file": "kea.json", "text": ""}]})
    for more in ((), ("--json",)):
        result = appliance.pxed("node", "dhcp", "web1", "--server", "vms", *more)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "pxed: There are no lines for the server 'vms'; there are some for Kea\n"
    appliance.api.routes["GET", "nodes/web1/dhcp"] = (200, {"lines": []})
    assert "pxed doctor" in appliance.pxed("node", "dhcp", "web1").stdout


@pytest.mark.parametrize(
    "words",
    [("node", "show"), ("node", "remove"), ("node", "release"), ("events",), ("install", "show"), ("install", "cancel"), ("watch",)],
)
def test_an_empty_name_is_wrong_use_and_asks_for_no_list(appliance: Appliance, words: tuple[str, ...]) -> None:
    """A script's unset variable: ``GET nodes/`` would be the list of all."""
    appliance.api.routes |= {("GET", "nodes/"): (200, {"nodes": []}), ("GET", "installs/"): (200, {"installs": []})}
    result = appliance.pxed(*words, "")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "An empty name names nothing" in result.stderr
    assert appliance.api.asked == []


def test_removing_a_machine(appliance: Appliance) -> None:
    appliance.api.routes["DELETE", "nodes/web1"] = (204, None)
    assert appliance.pxed("node", "remove", "web1").stdout == "web1 is forgotten.\n"
    assert appliance.json("node", "remove", "web1") == {"removed": "web1"}


def test_a_conflict_is_one_sentence_and_status_1(appliance: Appliance) -> None:
    appliance.api.routes["DELETE", "nodes/web1"] = (409, an_error("An install runs on web1: cancel it first"))
    result = appliance.pxed("node", "remove", "web1")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "pxed: An install runs on web1: cancel it first\n")
