"""The rule base of verdicts: for every place where a boot can stop, the sentence that names it."""

from __future__ import annotations

import pytest

from pxed.node.model import Event, Node
from pxed.node.verdict import LADDER, verdict
from pxed.testing import NOON

NODE = Node("n1", ("52:54:00:00:00:01",), NOON, NOON)
STORY = [
    "install.created", "dhcp.discover", "dhcp.offer", "dhcp.ack", "tftp.request", "tftp.sent", "dhcp.offer",
    "http.profile", "http.file", "http.answer", "started", "installed", "http.localboot", "booted",
]  # fmt: skip
"""A whole install, ten seconds between two events; words without a dot are notifications."""


def events(*kinds: str, every: float = 10.0) -> list[Event]:
    told = []
    for number, kind in enumerate(kinds):
        if "." in kind or kind == "syslog":
            told.append(Event(number + 1, NOON + every * number, kind, f"[{kind}]", "n1"))
        else:
            phase, _, status = kind.partition("=")
            data = {"phase": phase, "status": status or "ok"}
            told.append(Event(number + 1, NOON + every * number, "notification", f"[{kind}]", "n1", "i1", data))
    return told


def up_to(last: str) -> list[Event]:
    return events(*STORY[: STORY.index(last) + 1])


STOPS = [
    ("install.created", "not seen on the network since; power it on"),
    ("dhcp.discover", "was offered no boot program"),
    ("dhcp.offer", "its firmware ignores proxy offers"),
    ("dhcp.ack", "never asked for it by TFTP"),
    ("tftp.request", "MTU is smaller than the block size"),
    ("tftp.sent", "never asked for its profile: Secure Boot refused it"),
    ("http.profile", "fetched no kernel"),
    ("http.file", "the installer got no address"),
    ("http.answer", "never said that it started"),
    ("started", "the installer has gone silent"),
    ("installed", "the installed system never called back"),
]


@pytest.mark.parametrize(("last", "words"), STOPS)
def test_each_place_where_a_boot_stops_has_its_cause(last: str, words: str) -> None:
    said = verdict(NODE, up_to(last), "running", NOON + 86400)
    assert words in said
    assert sum(rung.stopped in said for rung in LADDER) == 1


@pytest.mark.parametrize(("last", "words"), STOPS[1:])
def test_what_was_seen_a_moment_ago_is_under_way(last: str, words: str) -> None:
    happened = up_to(last)
    said = verdict(NODE, happened, "running", happened[-1].at + 5)
    assert said == f"Under way: [{last}] (5 seconds ago)"


def test_a_later_sign_of_life_counts_although_it_is_lower_on_the_ladder() -> None:
    happened = [*up_to("installed"), Event(99, NOON + 3600, "dhcp.silent", "asks and is told nothing", "n1")]
    assert verdict(NODE, happened, "running", NOON + 3610).startswith("Under way: asks and is told nothing")


def test_a_second_dhcp_round_does_not_hide_how_far_it_got() -> None:
    happened = events("install.created", "dhcp.offer", "tftp.request", "tftp.sent", "dhcp.offer")
    assert "never asked for its profile" in verdict(NODE, happened, "running", NOON + 86400)


def test_a_boot_program_by_http_is_no_kernel() -> None:
    happened = events("install.created", "dhcp.offer", "http.file")
    assert "never asked for its profile" in verdict(NODE, happened, "running", NOON + 86400)


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        (("dhcp.offer", "tftp.request", "tftp.failed"), "[tftp.failed]"),
        (("dhcp.problem",), "[dhcp.problem]"),
        (("dhcp.silent",), "[dhcp.silent]"),
        (("dhcp.offer", "dhcp.problem"), "[dhcp.problem]"),
        (("dhcp.offer", "dhcp.rival"), "[dhcp.rival]"),
        (("http.profile", "http.failed"), "[http.failed]"),
    ],
)
def test_what_went_wrong_in_so_many_words_is_part_of_it(kinds: tuple[str, ...], text: str) -> None:
    assert f"({text})" in verdict(NODE, events("install.created", *kinds), "running", NOON + 86400)


def test_an_installer_that_only_logs_is_no_silent_one() -> None:
    happened = events("install.created", "http.profile", "http.file", "syslog")
    assert "writes to our log" in verdict(NODE, happened, "running", NOON + 86400)


def test_only_what_happened_since_the_last_install_was_created_counts() -> None:
    happened = [*up_to("booted"), Event(100, NOON + 500, "install.created", "again", "n1", "i2")]
    assert "Armed 100 seconds ago and not seen" in verdict(NODE, happened, "running", NOON + 600)


def test_a_failure_tells_its_reason_and_where_it_stopped() -> None:
    happened = [*up_to("tftp.request"), Event(99, NOON + 1800, "install.failed", "Failed: 'started' did not come", "n1", "i1")]
    said = verdict(NODE, happened, "failed", NOON + 86400)
    assert said.startswith("Failed: 'started' did not come. It stopped here: ")
    assert "MTU" in said


def test_a_failure_the_node_reported_needs_no_guess() -> None:
    happened = events("install.created", "http.answer", "installed=fail", "install.failed")
    assert verdict(NODE, happened, "failed", NOON + 86400) == "[install.failed]"


def test_the_other_ends_are_said_plainly() -> None:
    proof = Event(99, NOON, "install.done", "Done", "n1", "i1", {"proof": "TCP port 443 at 10.0.0.5 answers"})
    assert verdict(NODE, [*up_to("booted"), proof], "done", NOON).startswith("Done, and it boots its own disk: TCP port 443 at 10.0.0.5")
    assert verdict(NODE, up_to("booted"), "done", NOON + 86400).startswith("Done, and it boots its own disk")
    said = verdict(NODE, events("install.created", "installed", "install.unproven"), "unproven", NOON)
    assert said.startswith("[install.unproven]. It boots its own disk, and is done as soon as it calls back")
    assert verdict(NODE, up_to("started"), "cancelled", NOON + 86400).startswith("Cancelled by the operator")
    assert verdict(NODE, events("install.created", "install.parked"), "parked", NOON) == "[install.parked]"
    assert "retry, restart or cancel" in verdict(NODE, [], "parked", NOON)


def test_a_restart_in_the_middle_is_the_verdict_until_the_node_calls_back() -> None:
    happened = events("install.created", "http.answer", "started", "dhcp.silent", "install.rebooted", "dhcp.silent")
    for later in (5, 86400):
        assert verdict(NODE, happened, "running", happened[-1].at + later) == "[install.rebooted]"
    back = events(*(e.data.get("phase", e.kind) for e in happened), "installed")
    assert verdict(NODE, back, "running", back[-1].at + 5).startswith("Under way: [installed]")


def test_a_node_without_an_install() -> None:
    assert verdict(NODE, events("node.new"), None, NOON).startswith("Never seen on the network")
    said = verdict(NODE, events("node.new", "dhcp.silent"), None, NOON + 310)
    assert said == "Seen 5 minutes ago and offered nothing, because nothing is to be installed on it"


def test_a_verdict_is_possible_with_no_event_at_all() -> None:
    for state in (None, "running", "done", "unproven", "failed", "cancelled", "parked"):
        assert verdict(NODE, [], state, NOON + 60)
