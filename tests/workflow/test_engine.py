"""The verbs of the engine, on an appliance in memory."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from pxed.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from pxed.node.model import SILENT, Boot
from pxed.store.schema import installs
from pxed.testing import NOON, MemoryAppliance, result_of
from pxed.workflow.notices import LONGEST_MESSAGE
from pxed.workflow.recipe import Milestone, Recipe, RecipeBook
from tests.workflow.looking import MAC, boot_of, inbox_of, journal_of, kinds, rows, say, state_of
from tests.workflow.recipes import BOOK, PLAIN, run_plain


@pytest.fixture
def appliance() -> MemoryAppliance:
    return MemoryAppliance(BOOK)


def test_an_install_goes_from_armed_to_done_and_each_notification_moves_it(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain", hostname="a"))
    assert boot_of(appliance) == Boot("installer", install.id)  # armed when `create` returns
    assert install.deadline == NOON + 1800
    say(appliance, install, "started")
    assert (install.percent, install.stage) == (10, "The installer runs")
    assert [install.deadline] == [NOON + 7200]
    say(appliance, install, "installed")
    assert boot_of(appliance) == Boot("disk", install.id)
    say(appliance, install, "booted")
    assert boot_of(appliance) == Boot("disk")
    assert state_of(appliance, install) == "done"
    assert (install.percent, install.stage, install.finished_at) == (100, "Done", NOON)
    assert appliance.engine.get(install.id).deadline is None


def test_every_step_of_an_install_is_an_event(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    for phase in ("started", "installed", "booted"):
        say(appliance, install, phase)
    assert kinds(appliance) == [
        "node.new", "install.created", "install.step", "install.step",
        "notification", "install.progress", "install.step",
        "notification", "install.progress", "install.step", "install.step",
        "notification", "install.progress", "install.done",
    ]  # fmt: skip
    events = result_of(appliance.timeline.history(install=install.id))
    assert all(event.node == install.node_id for event in events)


def test_the_journal_reads_as_sentences(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started", message="Debian 12 says hello")
    steps = result_of(appliance.engine.steps(install.id))
    assert [(step["position"], step["answer"]) for step in steps] == [(0, "done"), (1, "came: Debian 12 says hello"), (2, "waits")]
    assert steps[2]["deadline"] == NOON + 7200


def test_neither_token_nor_options_show_in_a_repr(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain", rootPassword="$6$hash"))
    assert install.token not in repr(install)
    assert "$6$hash" not in repr(install)


def test_tokens_are_long_and_no_two_are_the_same(appliance: MemoryAppliance) -> None:
    tokens = {result_of(appliance.arm(f"52:54:00:00:01:{n:02x}", "plain")).token for n in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 32


@pytest.mark.parametrize("token", ["", "x" * 32, "\udcff", "ä" * 3])
def test_an_unknown_token_is_not_found(appliance: MemoryAppliance, token: str) -> None:
    result_of(appliance.arm(MAC, "plain"))
    with pytest.raises(NotFound):
        appliance.engine.by_token(token)


def test_an_ended_install_is_still_found_by_its_token(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.engine.cancel(install.id))
    assert appliance.engine.by_token(install.token) is install
    assert appliance.restart().engine.by_token(install.token).id == install.id


def test_a_second_install_on_a_node_is_refused_and_changes_nothing(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    with pytest.raises(Conflict, match=install.id):
        result_of(appliance.arm(MAC, "twice"))
    assert boot_of(appliance) == Boot("installer", install.id)
    assert [each.id for each in appliance.engine.all()] == [install.id]


def test_of_two_creates_at_the_same_moment_the_database_lets_one_through(appliance: MemoryAppliance) -> None:
    node = appliance.inventory.seen(MAC)
    appliance.store.held = []
    asked = [Deferred.fromCoroutine(appliance.arm(MAC, "plain")) for _ in range(2)]
    appliance.store.release()
    first = result_of(asked[0])
    with pytest.raises(Conflict):
        result_of(asked[1])
    assert [row["id"] for row in rows(appliance, installs)] == [first.id]
    assert node.boot.install == first.id


def test_creating_for_what_does_not_exist_is_not_found(appliance: MemoryAppliance) -> None:
    node = appliance.inventory.seen(MAC)
    with pytest.raises(NotFound, match="node"):
        result_of(appliance.engine.create("nobody", family="f", release="1", recipe="plain", options={}))
    with pytest.raises(NotFound, match="recipe 'cake'"):
        result_of(appliance.engine.create(node.id, family="f", release="1", recipe="cake", options={}))
    assert boot_of(appliance) == SILENT


def test_new_installs_take_the_latest_version_of_a_recipe() -> None:
    appliance = MemoryAppliance(RecipeBook((PLAIN, Recipe("plain", 10, run_plain), Recipe("plain", 9, run_plain))))
    assert result_of(appliance.arm(MAC, "plain")).recipe_version == 10


def test_an_install_makes_its_node_known(appliance: MemoryAppliance) -> None:
    result_of(appliance.arm(MAC, "plain"))
    assert [node.known for node in appliance.restart().inventory.all()] == [True]


def test_the_options_are_what_was_given_after_a_restart(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain", users=[{"name": "a", "uid": 1000}], hostname=None))
    assert appliance.restart().engine.get(install.id).options == {"users": [{"name": "a", "uid": 1000}], "hostname": None}


# cancel


def test_cancel_silences_the_node_and_nothing_comes_after_it(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    before = journal_of(appliance, install)
    result_of(appliance.engine.cancel(install.id))
    assert (state_of(appliance, install), boot_of(appliance), install.reason) == ("cancelled", SILENT, "Cancelled by the operator")
    say(appliance, install, "installed")
    appliance.clock.advance(100_000)
    assert journal_of(appliance, install) == before  # the await stays open: a cancel is no failure
    assert state_of(appliance, install) == "cancelled"
    assert appliance.clock.getDelayedCalls() == []


def test_cancel_twice_is_one_cancel_and_cancel_of_what_ended_is_refused(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.engine.cancel(install.id))
    result_of(appliance.engine.cancel(install.id))
    assert kinds(appliance).count("install.cancelled") == 1
    done = result_of(appliance.engine.retry(install.id))
    for phase in ("started", "installed", "booted"):
        say(appliance, done, phase)
    with pytest.raises(Conflict, match="is done"):
        result_of(appliance.engine.cancel(done.id))
    with pytest.raises(NotFound):
        result_of(appliance.engine.cancel("nobody"))


def test_a_step_that_is_on_its_way_when_the_operator_cancels_does_not_arm_the_node(appliance: MemoryAppliance) -> None:
    """Cancel is in the queue of the database when the notification is: whatever the order, the node ends silent."""
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    appliance.store.held = []
    told = Deferred.fromCoroutine(appliance.engine.deliver(install.token, "installed"))
    cancelled = Deferred.fromCoroutine(appliance.engine.cancel(install.id))
    appliance.store.release()
    result_of(told)
    result_of(cancelled)
    assert (state_of(appliance, install), boot_of(appliance)) == ("cancelled", SILENT)
    assert [step for _, step, _ in journal_of(appliance, install)].count("boot") == 1


def test_a_cancel_that_the_database_refuses_changes_nothing(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.store.broken = "no disk"
    with pytest.raises(StorageUnavailable):
        result_of(appliance.engine.cancel(install.id))
    appliance.store.broken = None
    assert (state_of(appliance, install), boot_of(appliance).kind) == ("running", "installer")
    say(appliance, install, "started")
    assert install.percent == 10


# retry


def test_retry_is_a_new_install_of_the_same(appliance: MemoryAppliance) -> None:
    first = result_of(appliance.arm(MAC, "plain", hostname="a"))
    with pytest.raises(Conflict, match="is running"):
        result_of(appliance.engine.retry(first.id))
    result_of(appliance.engine.cancel(first.id))
    second = result_of(appliance.engine.retry(first.id))
    assert (second.retry_of, second.node_id, second.family, second.options) == (first.id, first.node_id, first.family, {"hostname": "a"})
    assert second.token != first.token
    assert boot_of(appliance) == Boot("installer", second.id)
    assert "install.retried" in kinds(appliance)


def test_what_a_former_install_says_does_not_touch_its_retry(appliance: MemoryAppliance) -> None:
    first = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.engine.cancel(first.id))
    second = result_of(appliance.engine.retry(first.id))
    say(appliance, first, "installed")
    say(appliance, first, "started", status="fail", message="too late")
    assert (state_of(appliance, second), boot_of(appliance)) == ("running", Boot("installer", second.id))


# failure


def test_fail_ends_the_install_at_once_in_the_installers_own_words(appliance: MemoryAppliance) -> None:
    """Whatever phase is awaited, and whichever one it names."""
    for mac, phase in ((MAC, "installed"), ("52:54:00:00:00:02", None), ("52:54:00:00:00:03", "started")):
        install = result_of(appliance.arm(mac, "plain"))
        say(appliance, install, phase, status="fail", message="No space left on /dev/sda")
        assert (state_of(appliance, install), install.reason) == ("failed", "No space left on /dev/sda")
        assert boot_of(appliance, mac) == SILENT  # it never installs again by itself


def test_of_a_long_failure_the_end_is_kept_and_told(appliance: MemoryAppliance) -> None:
    """An installer that posts its whole log: its last line says what went wrong."""
    install = result_of(appliance.arm(MAC, "plain"))
    log = "".join(f"line {number}: unpacking\n" for number in range(400)) + "E: no space left on /dev/sda"
    say(appliance, install, "started", status="fail", message=log)
    assert install.reason.endswith("E: no space left on /dev/sda")
    assert len(install.reason) == LONGEST_MESSAGE
    told = {event.kind: event.text for event in result_of(appliance.timeline.history(install=install.id))}
    assert told["notification"].endswith("E: no space left on /dev/sda")
    assert told["install.failed"].endswith("E: no space left on /dev/sda")


def test_a_secret_in_what_an_installer_reports_is_shown_nowhere(appliance: MemoryAppliance) -> None:
    """Hooks post what a failed command said, and that names the proxy with its password and the URLs of the install."""
    install = result_of(appliance.arm(MAC, "plain"))
    said = "wget http://ann:hunter2@proxy/x and http://10.0.0.1/i/S3cr3t/late.sh: rootpw $6$salt$hash"
    appliance.engine.served(install.id)
    appliance.engine.progress(install.id, 7, said)
    say(appliance, install, "started", status="fail", message=said)
    told = "".join(event.text for event in result_of(appliance.timeline.history(install=install.id)))
    shown = told + install.progress_text + install.reason + str(inbox_of(appliance, install)) + str(journal_of(appliance, install))
    assert "wget http://***@proxy/x" in install.reason
    assert not [secret for secret in ("hunter2", "S3cr3t", "salt$hash") if secret in shown]


def test_fail_without_a_word_is_still_a_sentence(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started", status="fail")
    assert install.reason == "The node reported that 'started' failed, without a word why"


def test_a_failed_install_keeps_the_stage_where_it_stopped(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    say(appliance, install, "installed", status="fail", message="grub-install failed")
    assert (install.stage, install.percent) == ("The installer runs", 10)


# progress


def test_progress_never_goes_down_and_is_told_only_when_it_changes(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    for percent, text in ((20, "a"), (20, "a"), (15, "b"), (15, "b"), (400, "c"), (-3, "c")):
        appliance.engine.progress(install.id, percent, text)
    assert (install.percent, install.progress_text) == (100, "c")
    assert kinds(appliance).count("install.progress") == 3
    assert state_of(appliance, install) == "running"
    with pytest.raises(NotFound):
        appliance.engine.progress("nobody", 1, "")


def test_a_milestone_below_what_was_reached_changes_nothing(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.engine.progress(install.id, 55, "copying")
    say(appliance, install, "started")
    assert (install.percent, install.progress_text) == (55, "copying")
    assert state_of(appliance, install) == "running"


def test_a_milestone_counts_even_if_nobody_awaits_its_phase(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "packages")
    assert (install.percent, install.stage) == (40, "Packages are being unpacked")
    assert state_of(appliance, install) == "running"


def test_progress_of_what_ended_is_ignored(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    result_of(appliance.engine.cancel(install.id))
    appliance.engine.progress(install.id, 50, "still copying")
    assert install.percent == 0


def test_progress_survives_a_restart(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.engine.progress(install.id, 33, "a third")
    again = appliance.restart().engine.get(install.id)
    assert (again.percent, again.progress_text) == (33, "a third")


# what a notification may be


@pytest.mark.parametrize(
    ("phase", "more", "field"),
    [
        ("", {}, "phase"),
        ("../etc", {}, "phase"),
        ("x" * 65, {}, "phase"),
        ("a b", {}, "phase"),
        ("started", {"status": "maybe"}, "status"),
        ("started", {"data": {"x": "y" * 20_000}}, "data"),
        ("started", {"data": {"x": object()}}, "data"),
    ],
)
def test_a_notification_nobody_can_store_is_refused_with_its_field(
    appliance: MemoryAppliance, phase: str, more: dict[str, object], field: str
) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    with pytest.raises(InvalidRequest) as caught:
        say(appliance, install, phase, **more)
    assert caught.value.field == field
    assert inbox_of(appliance, install) == []


def test_a_notification_of_strange_characters_is_stored(appliance: MemoryAppliance) -> None:
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started", message="\udcff\0 ☃", data={"a": "\udcff"})
    assert install.percent == 10
    assert [event.text for event in result_of(appliance.timeline.history())][-3] == "The node says 'started': ?  ☃"


def test_a_node_that_calls_back_in_a_loop_can_not_fill_the_disk() -> None:
    appliance = MemoryAppliance(BOOK, most_notifications=20)
    install = result_of(appliance.arm(MAC, "plain"))
    for number in range(18):
        say(appliance, install, f"noise{number}")
    for _ in range(50):
        say(appliance, install, "started")  # the first moves it, the second is recorded, the others are acknowledged
    with pytest.raises(Conflict, match="more than 20"):
        say(appliance, install, "noise99")
    assert len(inbox_of(appliance, install)) == 20
    for phase in ("installed", None):
        say(appliance, install, phase)  # what is awaited always counts
    assert state_of(appliance, install) == "done"
    for _ in range(5):
        say(appliance, install, "installed", status="fail")
    assert len(inbox_of(appliance, install)) == 22


def test_milestones_of_a_plain_notification_are_those_of_the_phase_it_counts_for() -> None:
    appliance = MemoryAppliance(RecipeBook((Recipe("plain", 1, run_plain, (Milestone("started", 5, "Runs"),)),)))
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, None)
    assert (install.percent, install.stage, state_of(appliance, install)) == (5, "Runs", "running")


def test_the_bytes_of_packages_are_kept_and_the_next_install_of_that_system_is_measured_by_them(appliance: MemoryAppliance) -> None:
    first = result_of(appliance.arm(MAC, "plain"))
    for size in (2, 3):
        appliance.engine.fetched(first.id, size)
    assert appliance.engine.fetched_before(first.id) == 0
    appliance.clock.advance(5)  # lazily
    appliance = appliance.restart()
    first = appliance.engine.get(first.id)
    assert appliance.engine.fetched(first.id, 4) == 9
    for phase in ("started", "installed", "booted"):
        say(appliance, first, phase)
    assert appliance.engine.fetched(first.id, 100) == 9, "it has ended"
    appliance.clock.advance(5)
    second = result_of(appliance.arm(MAC, "plain"))
    assert appliance.engine.fetched_before(second.id) == 9
    result_of(appliance.engine.cancel(second.id))
    third = result_of(appliance.arm(MAC, "plain"))
    assert appliance.engine.fetched_before(third.id) == 9, "one that was not done is no measure"
    assert appliance.restart().engine.fetched_before(third.id) == 9
