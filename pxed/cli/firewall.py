"""Whether this host's packet filter would let machines in: a rough reading of nftables (JSON) or iptables, never a promise.

A rule set is a program; this reads the common shapes only: a chain on the input hook that drops by policy or at its end, and rules that
accept ports, an interface or everything. Its findings are never more than a warning.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pxed.cli.findings import Finding
from pxed.cli.host import Protocol

Wanted = Sequence[tuple[Protocol, int]]


@dataclass(slots=True)
class Filter:
    """What was read: whether unmatched input is dropped, which ports are let in on any or on a given interface, and who manages it."""

    drops: bool = False
    accepts_all: set[str | None] = field(default_factory=set)
    accepted: dict[tuple[Protocol, int, int], set[str | None]] = field(default_factory=dict)
    manager: str = "nftables"
    chain: str = "inet filter input"

    def accept(self, protocol: Protocol, first: int, last: int, interface: str | None) -> None:
        self.accepted.setdefault((protocol, first, last), set()).add(interface)

    def lets_in(self, protocol: Protocol, port: int, interface: str) -> bool:
        """Whether a packet to the port on this interface passes, as far as was read."""
        if not self.drops or self.accepts_all & {None, interface}:
            return True
        return any(p == protocol and a <= port <= b and where & {None, interface} for (p, a, b), where in self.accepted.items())


def read_nft(text: str) -> Filter:
    """`nft -j list ruleset` > Filter. ValueError if it is not that."""
    try:
        items = json.loads(text)["nftables"]
        chains = [each["chain"] for each in items if "chain" in each]
        rules = [each["rule"] for each in items if "rule" in each]
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError("not the JSON of nft") from e
    inputs = [chain for chain in chains if chain.get("hook") == "input"]
    names = " ".join(f"{chain.get('name')} {chain.get('table')}" for chain in chains)
    found = Filter(
        drops=any(chain.get("policy") == "drop" for chain in inputs),
        manager="ufw" if "ufw-" in names else "firewalld" if "firewalld" in names else "nftables",
    )
    for chain in sorted(inputs, key=lambda each: each.get("policy") == "drop"):
        found.chain = f"{chain.get('family')} {chain.get('table')} {chain.get('name')}"
    hooked = {_place(chain, chain.get("name")) for chain in inputs}
    reached = _reached(hooked, rules)
    for rule in rules:
        here = _place(rule, rule.get("chain"))
        if here in reached:
            _read_rule(rule, here in hooked, found)
    return found


def _place(item: Mapping[str, Any], chain: Any) -> tuple[Any, Any, Any]:
    return item.get("family"), item.get("table"), chain


def _reached(hooked: set[tuple[Any, Any, Any]], rules: Sequence[dict[str, Any]]) -> set[tuple[Any, Any, Any]]:
    """The chains that a packet may come to from the input hook, through jumps whatever their condition."""
    reached: set[tuple[Any, Any, Any]] = set()
    edge = set(hooked)
    while edge:
        reached |= edge
        leaving = [rule for rule in rules if _place(rule, rule.get("chain")) in edge]
        edge = {_place(rule, target) for rule in leaving for target in _targets(rule.get("expr"))} - reached
    return reached


def _targets(tree: Any) -> Iterator[str]:
    """Every chain named in a jump or goto, in verdict maps too."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            if name in ("jump", "goto") and isinstance(value, Mapping):
                yield str(value.get("target"))
            else:
                yield from _targets(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from _targets(each)


def _read_rule(rule: dict[str, Any], in_input: bool, found: Filter) -> None:
    steps = [each for each in rule.get("expr", []) if isinstance(each, dict)]
    verdicts = {name for each in steps for name in each if name in ("accept", "drop", "reject", "jump", "goto")}
    ports, interface, others = [], None, 0
    for match in (each["match"] for each in steps if "match" in each):
        kind, name = _subject(match.get("left"))
        if kind in ("udp", "tcp", "th") and name == "dport" and match.get("op") == "==":
            ports += [(p, *span) for p in (("udp", "tcp") if kind == "th" else (kind,)) for span in _spans(match.get("right"))]
        elif name in ("iifname", "iif") and isinstance(match.get("right"), str) and match.get("op") == "==":
            interface = match["right"]
        else:
            others += 1
    plain = not others and not any("xt" in each for each in steps)
    if "accept" in verdicts and ports:
        for protocol, first, last in ports:
            found.accept(protocol, first, last, interface)  # type: ignore[arg-type]
    elif "accept" in verdicts and plain and in_input:
        found.accepts_all.add(interface)
    elif verdicts & {"drop", "reject"} and plain and interface is None and in_input and not ports:
        found.drops = True


def _subject(left: Any) -> tuple[str, str]:
    if isinstance(left, dict) and "payload" in left:
        return str(left["payload"].get("protocol", "")), str(left["payload"].get("field", ""))
    if isinstance(left, dict) and "meta" in left:
        return "meta", str(left["meta"].get("key", ""))
    return "", ""


def _spans(right: Any) -> Iterator[tuple[int, int]]:
    """``69``, ``{"range": [67, 69]}``, ``{"set": [...]}`` > (first, last) of each."""
    if isinstance(right, int):
        yield right, right
    elif isinstance(right, dict) and isinstance(right.get("range"), list):
        yield int(right["range"][0]), int(right["range"][1])
    elif isinstance(right, dict) and isinstance(right.get("set"), list):
        for each in right["set"]:
            yield from _spans(each)


def read_iptables(text: str) -> Filter:
    """`iptables-save` > Filter."""
    found = Filter(manager="ufw" if "ufw-" in text else "iptables")
    for line in text.splitlines():
        if re.match(r":INPUT (DROP|REJECT)", line):
            found.drops = True
        elif line.startswith("-A "):
            _read_iptables_rule(line, found)
    return found


def _read_iptables_rule(line: str, found: Filter) -> None:
    protocol = re.search(r"-p (udp|tcp)\b", line)
    ports = re.search(r"--dports? ([0-9:,]+)", line)
    interface = re.search(r"-i (\S+)", line)
    where = interface[1] if interface else None
    if line.endswith("-j ACCEPT") and protocol and ports:
        for part in ports[1].split(","):
            first, _, last = part.partition(":")
            found.accept("udp" if protocol[1] == "udp" else "tcp", int(first), int(last or first), where)
    elif re.fullmatch(r"-A INPUT( -i \S+)? -j ACCEPT", line):
        found.accepts_all.add(where)
    elif re.fullmatch(r"-A INPUT -j (DROP|REJECT.*)", line):
        found.drops = True


def read_host() -> tuple[Filter | None, str]:
    """(what was read, "") or (None, why not): asks `nft`, else `iptables-save`; blocks up to 10 s."""
    problem = "neither nft nor iptables-save is here"
    for command, read in ((["nft", "-j", "list", "ruleset"], read_nft), (["iptables-save"], read_iptables)):
        if shutil.which(command[0]) is None:
            continue
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
            if done.returncode == 0:
                return read(done.stdout), ""
            problem = f"{command[0]}: {done.stderr.strip().splitlines()[0] if done.stderr.strip() else done.returncode}"
        except (OSError, ValueError, subprocess.TimeoutExpired) as e:
            problem = f"{command[0]}: {e}"
    return None, problem


def findings(read: tuple[Filter | None, str], interfaces: Iterable[str], wanted: Wanted) -> list[Finding]:
    """One finding per interface whose ports are shut, or one that says that none is."""
    rules, problem = read
    if rules is None:
        return [
            Finding("firewall", "warn", f"The packet filter can't be read ({problem})", "Run as root, or look yourself: nft list ruleset")
        ]
    found = []
    for name in interfaces:
        shut = [(protocol, port) for protocol, port in wanted if not rules.lets_in(protocol, port, name)]
        if shut:
            text = f"The packet filter seems to drop {', '.join(f'{p} {n}' for p, n in shut)} on {name}"
            found.append(Finding("firewall", "warn", text, _remedy(rules, name, shut)))
    return found or [
        Finding("firewall", "ok", "The packet filter lets the appliance's ports in" if rules.drops else "No packet filter is in the way")
    ]


def _remedy(rules: Filter, interface: str, shut: Wanted) -> str:
    by = {p: ",".join(str(n) for q, n in shut if q == p) for p in ("udp", "tcp")}
    present = [(p, numbers) for p, numbers in by.items() if numbers]
    if rules.manager == "ufw":
        return "; ".join(f"ufw allow in on {interface} to any port {numbers} proto {p}" for p, numbers in present)
    if rules.manager == "firewalld":
        return "firewall-cmd --permanent " + " ".join(f"--add-port={n}/{p}" for p, n in shut) + " && firewall-cmd --reload"
    if rules.manager == "iptables":
        return "; ".join(f"iptables -I INPUT -i {interface} -p {p} -m multiport --dports {numbers} -j ACCEPT" for p, numbers in present)
    return "; ".join(f"nft insert rule {rules.chain} iifname {interface} {p} dport {{ {numbers} }} accept" for p, numbers in present)
