"""Deadlines are times of day: missed, met late, passed while pxed was down; and a database that is away for a while."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from pxed.node.model import SILENT, Boot
from pxed.store import schema
from pxed.testing import NOON, MemoryAppliance, result_of
from pxed.workflow.recipe import HOUR
from pxed.workflow.run import GRACE
from tests.workflow.dying import DyingStore
from tests.workflow.looking import MAC, boot_of, journal_of, rows, say, state_of
from tests.workflow.recipes import BOOK


def test_a_missed_deadline_fails_and_says_what_how_long_and_what_was_last_seen() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.advance(600)
    appliance.timeline.record("http.profile", "It fetched its boot profile", node=install.node_id)
    appliance.clock.advance(1199)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(1)
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)
    assert (
        install.reason == "'started' was awaited for 30 minutes and did not come; last seen 20 minutes before: It fetched its boot profile"
    )
    assert journal_of(appliance, install)[1][2] == {"failed": install.reason, "missed": True}


def test_a_missed_deadline_of_a_node_that_was_never_seen_says_so() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.advance(1800)
    assert install.reason.endswith("did not come; nothing was seen of the node since the install was created")


def test_each_await_has_its_own_deadline_from_when_it_was_reached() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.advance(1700)
    say(appliance, install, "started")
    appliance.clock.advance(7199)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(1)
    assert "'installed' was awaited for 2 hours" in install.reason


def test_a_deadline_is_a_time_of_day_and_not_time_remaining() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    for _ in range(5):
        appliance = appliance.restart(down=300)
        assert [row["deadline"] for row in rows(appliance, schema.journal)][-1] == NOON + 1800
    appliance.clock.advance(299)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(1)
    assert state_of(appliance, install) == "failed"


def test_a_deadline_that_passed_while_pxed_was_down_leaves_a_moment_for_a_retry() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    late = appliance.restart(down=5 * HOUR)
    late.clock.advance(GRACE - 1)
    assert late.engine.get(install.id).deadline == NOON + 5 * HOUR + GRACE
    say(late, install, "started")
    assert (state_of(late, install), late.engine.get(install.id).percent) == ("running", 10)


def test_in_that_moment_the_node_is_not_installed_again() -> None:
    """After a power failure everybody's machines start at once, and one may have been installed, and used, while pxed was down."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    say(appliance, install, "started")
    late = appliance.restart(down=24 * HOUR)
    node = late.inventory.by_mac(MAC)
    assert node is not None
    assert node.boot == Boot("silent", install.id)
    late.clock.advance(GRACE - 1)
    assert node.boot == Boot("silent", install.id)
    say(late, install, "booted")
    assert (state_of(late, install), boot_of(late)) == ("done", Boot("disk"))


def test_after_that_moment_the_install_fails() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    late = appliance.restart(down=5 * HOUR)
    late.clock.advance(GRACE)
    assert (state_of(late, install), boot_of(late)) == ("failed", SILENT)


def test_a_failure_in_the_journal_is_raised_again_and_ends_the_install_once() -> None:
    """Killed between the answer and the end."""
    store = DyingStore()
    appliance = MemoryAppliance(BOOK, store=store)
    install = result_of(appliance.arm(MAC, "plain"))
    store.dies_at, store.committed = store.commits_begun + 1, True  # the history is read, then the answer is written
    appliance.clock.advance(1800)
    assert store.dead
    assert install.state == "running"
    appliance = appliance.restart()
    assert (state_of(appliance, install), boot_of(appliance)) == ("failed", SILENT)
    assert appliance.engine.get(install.id).reason.startswith("'started' was awaited")


def test_a_notification_that_came_in_time_counts_although_the_deadline_is_looked_at_later() -> None:
    """Both are in the queue of the database at once."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.store.held = []
    told = Deferred.fromCoroutine(appliance.engine.deliver(install.token, "started"))
    appliance.clock.advance(1800)
    appliance.store.release()
    result_of(told)
    assert (state_of(appliance, install), install.percent) == ("running", 10)


def test_a_wall_clock_that_was_set_back_only_waits_longer() -> None:
    """`now` and `clock` are two things on a real host."""
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.clock.rightNow -= 900
    for call in appliance.clock.getDelayedCalls():
        call.time -= 900  # type: ignore[attr-defined]  # monotonic time did not jump
    appliance.clock.advance(1800)
    assert state_of(appliance, install) == "running"
    appliance.clock.advance(900)
    assert state_of(appliance, install) == "failed"


def test_while_the_database_is_away_an_install_waits_and_does_not_fail() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    appliance.store.broken = "no disk"
    appliance.clock.advance(1800 + 60)  # its deadline passes, but nobody could have told us
    assert install.state == "running"
    appliance.store.broken = None
    say(appliance, install, "started")  # comes in time after all
    appliance.clock.advance(60)
    assert (state_of(appliance, install), install.percent) == ("running", 10)


def test_a_step_that_could_not_be_stored_is_tried_again() -> None:
    appliance = MemoryAppliance(BOOK)
    install = result_of(appliance.arm(MAC, "plain"))
    node = appliance.inventory.by_mac(MAC)
    assert node is not None
    say(appliance, install, "started")
    appliance.store.held = []
    told = Deferred.fromCoroutine(appliance.engine.deliver(install.token, "installed"))
    appliance.store.release()
    appliance.store.broken = "no disk"
    result_of(told)
    appliance.store.broken = None
    appliance.clock.advance(1)
    assert boot_of(appliance) == Boot("disk", install.id)
