"""`pxed watch`, `pxed events` and `install --watch`: live over server-sent events, through broken connections, to the right exit status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pxed.cli.watch_view import Screen
from tests.cli.fake import NOW, Appliance, a_node, an_error, an_event, an_install

ID = "3f2a9c01d4"


def happens(appliance: Appliance, event: dict[str, Any], **install: Any) -> None:
    """The install changes, and the event that says so is sent."""
    appliance.api.routes["GET", f"installs/{ID}"] = (200, an_install(**install))
    appliance.api.push({**event, "install": ID})


@pytest.fixture
def running(appliance: Appliance) -> Appliance:
    appliance.api.routes["GET", f"installs/{ID}"] = (200, an_install())
    appliance.api.stored = [an_event(1, "install.created", "Install of debian 12 armed", install=ID)]
    return appliance


def test_an_install_is_told_from_its_first_event_to_its_end_with_status_0(running: Appliance) -> None:
    running.world.later(0.1, lambda: happens(running, an_event(2, "install.progress", "40 %"), percent=40, progress="base system"))
    running.world.later(
        0.2, lambda: happens(running, an_event(3, "install.done", "Done"), percent=100, progress="", state="done", stage="booted")
    )
    result = running.pxed("watch", ID)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("2026")] == ["install.created", "install.progress", "install.done"]
    summaries = [line for line in lines if line.startswith("web1")]
    assert summaries[0].startswith("web1  debian 12  running  10 %  The installer runs")
    assert summaries[-1].startswith("web1  debian 12  done  100 %")
    assert running.api.asked[-1][1] == f"installs/{ID}"


@pytest.mark.parametrize("state", ["unproven", "failed", "cancelled", "parked"])
def test_an_end_that_is_no_success_is_status_1_with_the_reason(running: Appliance, state: str) -> None:
    reason = "No answer to 'installed' within 2 h"
    running.world.later(0.1, lambda: happens(running, an_event(2, f"install.{state}", reason), state=state, reason=reason))
    result = running.pxed("watch", ID)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith(f"web1  debian 12  {state}  10 %  {reason}")


def test_the_last_line_says_how_it_ended_even_if_a_poll_saw_it_before_the_event(running: Appliance) -> None:
    ended = {"state": "failed", "reason": "The disk is full"}
    running.world.later(0.1, lambda: running.api.routes.__setitem__(("GET", f"installs/{ID}"), (200, an_install(**ended))))
    running.world.later(0.45, lambda: happens(running, an_event(2, "install.failed", "The disk is full"), **ended))
    result = running.pxed("watch", ID)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("web1  debian 12  failed  10 %  The disk is full")


def test_an_install_that_has_ended_is_told_at_once(running: Appliance) -> None:
    running.api.routes["GET", f"installs/{ID}"] = (200, an_install(state="done", percent=100))
    assert running.pxed("watch", ID).exit_code == 0
    assert not [asked for asked in running.api.asked if asked[1] == "events"]


def test_a_broken_connection_is_said_and_mended_and_no_event_is_lost_or_told_twice(running: Appliance) -> None:
    running.world.later(0.2, running.api.hang_up)
    running.world.later(0.22, lambda: happens(running, an_event(2, "install.progress", "while away"), percent=50))
    running.world.later(0.6, lambda: happens(running, an_event(3, "install.done", "Done"), state="done"))
    result = running.pxed("watch", ID)
    assert result.exit_code == 0
    assert "broke the event stream off; trying again" in result.stderr
    assert [line.split()[2] for line in result.stdout.splitlines() if line.startswith("2026")] == [
        "install.created",
        "install.progress",
        "install.done",
    ]
    assert [asked[2] for asked in running.api.asked if asked[1] == "events"] == [
        {"after": "0", "install": ID},
        {"after": "1", "install": ID},
    ]


def test_an_end_whose_event_was_lost_is_noticed_all_the_same(running: Appliance) -> None:
    ended = (200, an_install(state="done", percent=100))
    running.world.later(0.1, lambda: running.api.routes.__setitem__(("GET", f"installs/{ID}"), ended))
    assert running.pxed("watch", ID).exit_code == 0


def test_a_node_stands_for_its_running_install(running: Appliance) -> None:
    running.api.routes["GET", "nodes/web1"] = (200, a_node(name="web1", install=an_install()))
    running.world.later(0.1, lambda: happens(running, an_event(2, "install.done", "Done"), state="done"))
    assert running.pxed("watch", "web1").exit_code == 0


def test_what_is_neither_install_nor_node_is_refused(appliance: Appliance) -> None:
    appliance.api.routes["GET", "installs"] = (200, {"installs": []})
    result = appliance.pxed("watch", "nobody")
    assert (result.exit_code, result.stderr) == (1, "pxed: There is neither an install nor a node nobody\n")


def test_json_lines_for_programs(running: Appliance) -> None:
    running.world.later(0.1, lambda: happens(running, an_event(2, "install.done", "Done"), state="done"))
    trees = [json.loads(line) for line in running.pxed("watch", ID, "--json").stdout.splitlines()]
    states = [tree["install"]["state"] for tree in trees if "install" in tree]
    assert (states[0], states[-1]) == ("running", "done")
    assert [tree["event"]["kind"] for tree in trees if "event" in tree] == ["install.created", "install.done"]


def test_install_with_watch_follows_what_it_armed(running: Appliance) -> None:
    running.api.routes["POST", "installs"] = (201, an_install())
    running.world.later(0.1, lambda: happens(running, an_event(2, "install.failed", "No"), state="failed", reason="No"))
    result = running.pxed("install", "web1", "debian", "--watch")
    assert result.exit_code == 1
    assert result.stdout.startswith("Install 3f2a9c01d4 is armed")


def test_a_token_that_is_refused_later_ends_the_watch(running: Appliance) -> None:

    def another_appliance() -> None:
        running.api.token = "another"
        running.api.hang_up()

    running.world.later(0.1, another_appliance)
    result = running.pxed("watch", ID)
    assert result.exit_code == 2
    assert "refused the API token" in result.stderr


def test_a_picture_that_can_not_be_drawn_ends_the_watch_loudly(running: Appliance) -> None:
    """A mistake of ours in a poll or a redraw must not leave a watch that hangs for ever."""
    running.world.later(0.02, lambda: running.api.routes.__setitem__(("GET", f"installs/{ID}"), (200, {"id": ID})))
    with pytest.raises(KeyError, match="state"):
        running.pxed("watch", ID)


def test_events_are_told_oldest_first_and_can_be_chosen(appliance: Appliance) -> None:
    stored = [an_event(1), an_event(2, "tftp.failed", "No ACK"), an_event(3, "dhcp.silent", "Silence")]
    appliance.api.routes["GET", "nodes/web1/events"] = lambda args: (200, {"events": [e for e in stored if e["id"] > int(args["after"])]})
    lines = appliance.pxed("events", "web1").stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["dhcp.offer", "tftp.failed", "dhcp.silent"]
    assert lines[0].endswith("Offered snponly.efi")
    assert appliance.json("events", "web1", "--kind", "dhcp")["events"] == [stored[0], stored[2]]
    assert appliance.json("events", "web1", "--last", "1")["events"] == [stored[2]]


def test_many_events_come_in_pages(appliance: Appliance) -> None:
    stored = [an_event(n) for n in range(1, 6)]

    def page(args: dict[str, str]) -> tuple[int, Any]:
        return 200, {"events": [e for e in stored if e["id"] > int(args["after"])][: int(args["limit"])]}

    appliance.api.routes["GET", "nodes/web1/events"] = page
    assert [e["id"] for e in appliance.json("events", "web1")["events"]] == [1, 2, 3, 4, 5]


def test_followed_events_go_on_behind_the_stored_ones_until_the_appliance_refuses(appliance: Appliance) -> None:
    api = appliance.api
    api.stored = [an_event(1)]
    api.routes["GET", "nodes/web1/events"] = lambda args: (200, {"events": [e for e in api.stored if e["id"] > int(args["after"])]})
    api.routes["GET", "nodes/web1"] = (200, a_node(name="web1", install=None))
    appliance.world.later(0.1, lambda: api.push(an_event(2, "tftp.sent", "sent")))
    appliance.world.later(0.2, lambda: setattr(api, "token", "another"))
    appliance.world.later(0.21, api.hang_up)
    result = appliance.pxed("events", "web1", "--follow", "--json")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [1, 2]
    assert result.exit_code == 2
    assert ("GET", "events", {"after": "1", "node": "9f3c0a11"}) in api.asked


def test_events_of_an_unknown_node(appliance: Appliance) -> None:
    appliance.api.routes["GET", "nodes/x/events"] = (404, an_error("There is no node x; there is web1"))
    result = appliance.pxed("events", "x")
    assert (result.exit_code, result.stderr) == (1, "pxed: There is no node x; there is web1\n")


def drawn(screen: Screen) -> str:
    from rich.console import Console

    console = Console(width=120, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(screen.picture())
    return captured.get()


def test_the_screen_shows_progress_and_a_clock_that_runs() -> None:
    now = [NOW]
    screen = Screen(lambda: now[0])
    assert "No install is running" in drawn(screen)
    screen.install(an_install())
    screen.event(an_event(1, "syslog", "from the \x1b[31mmachine"))
    first = drawn(screen)
    assert "web1" in first
    assert "10 %" in first
    assert "10 m 00 s" in first
    assert "from the ?[31mmachine" in first
    assert "\x1b[31m" not in first
    now[0] += 65
    assert "11 m 05 s" in drawn(screen)
    screen.install(an_install(state="done", elapsed=700.0))
    now[0] += 1000
    assert "11 m 40 s" in drawn(screen)
