"""Reading packet filters: the common shapes, from nft's own JSON and from iptables-save."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from shutil import which

import pytest

from pxed.cli import firewall
from pxed.cli.firewall import Filter, findings, read_iptables, read_nft
from pxed.cli.host import Protocol

WANTED: list[tuple[Protocol, int]] = [("udp", 67), ("udp", 4011), ("udp", 69), ("tcp", 80), ("udp", 514)]

IPTABLES = """*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp -m multiport --dports 67,69 -j ACCEPT
-A INPUT -i eth1 -p tcp -m tcp --dport 80:81 -j ACCEPT
COMMIT
"""

RULES = """
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "lo" accept
    jump services
  }
  chain services {
    udp dport { 67, 69 } accept
    iifname "eth1" tcp dport 80-81 accept
  }
}
"""


def shut(rules: Filter, interface: str) -> set[int]:
    return {port for protocol, port in WANTED if not rules.lets_in(protocol, port, interface)}


def test_iptables_by_port_range_list_and_interface() -> None:
    rules = read_iptables(IPTABLES)
    assert shut(rules, "eth1") == {4011, 514}
    assert shut(rules, "eth2") == {4011, 514, 80}
    assert shut(rules, "lo") == set()


@pytest.mark.parametrize("end", ["-A INPUT -j DROP", "-A INPUT -j REJECT --reject-with icmp-host-prohibited"])
def test_iptables_that_drops_at_its_end(end: str) -> None:
    text = IPTABLES.replace(":INPUT DROP", ":INPUT ACCEPT")
    assert shut(read_iptables(text), "eth1") == set()
    assert shut(read_iptables(text.replace("COMMIT", f"{end}\nCOMMIT")), "eth1") == {4011, 514}


@pytest.fixture
def nft() -> Iterator[list[str]]:
    """`nft` in a network namespace of its own."""
    if os.geteuid() != 0 or which("nft") is None or which("ip") is None:
        pytest.skip("needs root, `nft` and `ip` (apt install nftables iproute2)")
    name = f"pxclinf{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    yield ["ip", "netns", "exec", name, "nft"]
    subprocess.run(["ip", "netns", "delete", name], check=True)


def load(nft: list[str], rules: str) -> Filter:
    subprocess.run([*nft, "-f", "-"], input="flush ruleset\n" + rules, text=True, check=True)
    return read_nft(subprocess.run([*nft, "-j", "list", "ruleset"], capture_output=True, text=True, check=True).stdout)


def test_the_kernels_own_listing_is_understood(nft: list[str]) -> None:
    rules = load(nft, RULES)
    assert shut(rules, "eth1") == {4011, 514}
    assert shut(rules, "eth2") == {4011, 514, 80}
    assert shut(rules, "lo") == set()
    assert rules.chain == "inet filter input"
    assert shut(load(nft, RULES.replace("policy drop", "policy accept")), "eth1") == set()
    ends = RULES.replace("policy drop", "policy accept").replace("jump services", "jump services\n    reject")
    assert shut(load(nft, ends), "eth1") == {4011, 514}
    whole = RULES.replace("jump services", 'iifname "eth1" accept')
    assert shut(load(nft, whole), "eth1") == set()
    assert shut(load(nft, whole), "eth2") == {67, 69, 80, 514, 4011}
    some_sources = RULES.replace("jump services", "ip saddr 10.0.0.0/8 accept")
    assert shut(load(nft, some_sources), "eth1") == {67, 69, 80, 514, 4011}
    by_map = RULES.replace("jump services", 'iifname vmap { "eth1" : jump services }')
    assert shut(load(nft, by_map), "eth1") == {4011, 514}


def test_the_remedy_that_is_told_for_nftables_works(nft: list[str]) -> None:
    rules = load(nft, RULES)
    remedy = findings((rules, ""), ["eth1"], WANTED)[0].remedy
    for command in remedy.split("; "):
        subprocess.run([*nft, *command.removeprefix("nft ").split()], check=True)
    listed = subprocess.run([*nft, "-j", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert findings((read_nft(listed), ""), ["eth1"], WANTED)[0].level == "ok"


@pytest.mark.parametrize(
    ("manager", "remedy"),
    [
        ("ufw", "ufw allow in on eth1 to any port 4011,514 proto udp"),
        ("firewalld", "firewall-cmd --permanent --add-port=4011/udp --add-port=514/udp && firewall-cmd --reload"),
        ("iptables", "iptables -I INPUT -i eth1 -p udp -m multiport --dports 4011,514 -j ACCEPT"),
    ],
)
def test_the_remedy_is_in_the_words_of_who_manages_the_filter(manager: str, remedy: str) -> None:
    rules = read_iptables(IPTABLES)
    rules.manager = manager
    found = findings((rules, ""), ["eth1"], WANTED)
    assert (found[0].level, found[0].remedy) == ("warn", remedy)
    assert "udp 4011, udp 514 on eth1" in found[0].text


def test_ufw_is_recognised_in_either_listing() -> None:
    chain = {"chain": {"family": "ip", "table": "filter", "name": "ufw-user-input"}}
    assert read_nft(json.dumps({"nftables": [chain]})).manager == "ufw"
    assert read_iptables(IPTABLES + "-A ufw-user-input -j RETURN\n").manager == "ufw"


def test_no_filter_and_one_that_can_not_be_read() -> None:
    assert findings((Filter(), ""), ["eth1"], WANTED)[0].text == "No packet filter is in the way"
    unread = findings((None, "nft: Operation not permitted"), ["eth1"], WANTED)[0]
    assert unread.level == "warn"
    assert "Operation not permitted" in unread.text


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"nftables": 3}'])
def test_what_is_no_listing_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        read_nft(text)


def test_a_host_can_be_asked_without_an_exception() -> None:
    rules, problem = firewall.read_host()
    assert (rules is None) == bool(problem)
