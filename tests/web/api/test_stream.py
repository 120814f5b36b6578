"""The timeline as server-sent events: all of it, in order, nothing twice; and no follower holds up another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from pxed.errors import StorageUnavailable
from pxed.node.model import Event
from pxed.web.api import stream
from pxed.web.api.stream import BACKLOG, KEEP_ALIVE, PAGE, TICK
from tests.web.api.client import Api
from tests.web.real import Client, listening, reactor, until
from tests.web.world import MAC, TOKEN, Connection, World


def follow(world: World, query: str = "", *, last: int | None = None, version: str = "1.1") -> Connection:
    client = world.connect(peer="10.0.0.5")
    extra = f"Last-Event-ID: {last}\r\n" if last is not None else ""
    client.send(f"GET /api/v1/events{query} HTTP/{version}\r\nAuthorization: Bearer {TOKEN}\r\n{extra}\r\n".encode())
    return client


def events(client: Connection) -> list[dict[str, Any]]:
    """Every event that the client has received, parsed by a parser of our own making."""
    (response,) = client.responses()
    assert response.headers["content-type"] == "text/event-stream"
    found = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            value = json.loads(fields["data"])
            assert (str(value["id"]), value["kind"]) == (fields["id"], fields["event"])
            found.append(value)
    return found


def texts(client: Connection) -> list[str]:
    return [event["text"] for event in events(client)]


def tick(world: World) -> None:
    world.reactor.advance(TICK + 0.001)


def test_events_arrive_within_a_tick_each_once(world: World) -> None:
    client = follow(world)
    world.timeline.record("dhcp.offer", "one")
    world.timeline.record("dhcp.ack", 'two "quoted"\nlines — ünïcode')
    assert texts(client) == []
    tick(world)
    assert texts(client) == ["one", 'two "quoted"\nlines — ünïcode']
    world.timeline.record("dhcp.ack", "three")
    tick(world)
    assert texts(client)[2:] == ["three"]


def test_a_follower_without_an_id_gets_only_what_happens_from_now_on(world: World) -> None:
    world.timeline.record("dhcp.offer", "before")
    client = follow(world)
    tick(world)
    world.timeline.record("dhcp.offer", "after")
    tick(world)
    assert texts(client) == ["after"]


@pytest.mark.parametrize(("query", "last"), [("?after=2", None), ("", 2), ("?after=900", 2)])
def test_events_behind_an_id_are_replayed_and_then_live_ones_follow(world: World, query: str, last: int | None) -> None:
    for number in range(1, 6):
        world.timeline.record("syslog", f"event {number}")
    client = follow(world, query, last=last)
    world.timeline.record("syslog", "event 6")
    tick(world)
    assert texts(client) == [f"event {number}" for number in range(3, 7)]


def test_after_0_means_from_the_first_event_on_however_many_there_are(world: World) -> None:
    for number in range(2 * PAGE + 10):
        world.timeline.record("syslog", str(number))
    assert texts(follow(world, "?after=0")) == [str(number) for number in range(2 * PAGE + 10)]


def test_an_event_gathered_but_not_yet_sent_when_a_follower_replays_comes_once(world: World) -> None:
    other = follow(world)
    world.timeline.record("syslog", "one")
    world.timeline.record("syslog", "two")
    client = follow(world, "?after=1")
    tick(world)
    assert texts(client) == ["two"]
    assert texts(other) == ["one", "two"]


class SlowTimeline:
    """A timeline whose history waits for the test, as a store's does."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.waiting: list[tuple[Deferred[None], dict[str, Any]]] = []
        self.record, self.subscribe = inner.record, inner.subscribe

    async def history(self, **wanted: Any) -> list[Event]:
        wait: Deferred[None] = Deferred()
        self.waiting.append((wait, wanted))
        await wait
        found: list[Event] = await self.inner.history(**wanted)
        return found

    def go_on(self) -> None:
        wait, _ = self.waiting.pop(0)
        wait.callback(None)


def listeners(world: World) -> list[Any]:
    """Who hears the timeline, but for the boot guard."""
    return [each for each in world.timeline._subscribers if each != world.guard._heard]


def slow(world: World) -> SlowTimeline:
    timeline = SlowTimeline(world.timeline)
    gate = world.site.resource.children[b"api"]
    object.__setattr__(gate._follow.__self__._rooms, "timeline", timeline)
    return timeline


@settings(max_examples=30)
@given(data=st.data())
def test_whatever_happens_during_the_replay_there_is_no_gap_and_nothing_twice(data: st.DataObject) -> None:
    world = World(Path("/nonexistent"))
    for number in range(data.draw(st.integers(0, 30))):
        world.timeline.record("syslog", f"stored {number}")
    after = data.draw(st.integers(0, 30))
    timeline = slow(world)
    client = follow(world, f"?after={after}")
    for _ in range(data.draw(st.integers(1, 12))):
        step = data.draw(st.sampled_from(["record", "tick", "history"]))
        if step == "record":
            world.timeline.record("syslog", "live")
        elif step == "tick":
            tick(world)
        elif timeline.waiting:
            timeline.go_on()
    while timeline.waiting:
        timeline.go_on()
    tick(world)
    last = world.timeline.record("syslog", "the last").id
    tick(world)
    assert [event["id"] for event in events(client)] == list(range(after + 1, last + 1))


def test_more_live_events_during_a_replay_than_may_be_held_are_read_from_the_store(world: World) -> None:
    world.timeline.record("syslog", "first")
    timeline = slow(world)
    client = follow(world, "?after=0")
    for _ in range(BACKLOG // 900 + 100):
        world.timeline.record("syslog", "x" * 900)
        if timeline.inner._next_id % 100 == 0:
            tick(world)
    tick(world)
    while timeline.waiting:
        timeline.go_on()
    tick(world)
    assert [event["id"] for event in events(client)] == list(range(1, timeline.inner._next_id))


def test_followers_of_a_node_or_an_install_get_only_its_events(world: World) -> None:
    node = world.inventory.seen(MAC)
    install = world.armed(mac="52:54:00:00:00:09")[1].id
    by_node, by_install = follow(world, f"?node={MAC}"), follow(world, f"?install={install}")
    by_both = follow(world, f"?node={node.id}&install={install}")
    world.timeline.record("syslog", "node", node=node.id)
    world.timeline.record("syslog", "install", install=install)
    world.timeline.record("syslog", "both", node=node.id, install=install)
    world.timeline.record("syslog", "neither")
    tick(world)
    assert texts(by_node) == ["node", "both"]
    assert texts(by_install) == ["install", "both"]
    assert texts(by_both) == ["both"]


def test_a_quiet_stream_is_kept_alive_with_comments(world: World) -> None:
    install = world.armed()[1].id
    client, filtered = follow(world), follow(world, f"?install={install}")
    world.reactor.advance(KEEP_ALIVE + 1)
    for each in (client, filtered):
        assert b"\n:\n\n" in each.responses()[0].body
        assert events(each) == []


def test_http_1_0_clients_get_the_same_without_chunks(world: World) -> None:
    client = follow(world, version="1.0")
    world.timeline.record("syslog", "one")
    tick(world)
    assert b"transfer-encoding" not in client.received().lower()
    assert texts(client) == ["one"]


def test_when_the_last_follower_has_gone_nothing_listens_and_nothing_ticks(world: World) -> None:
    clients = [follow(world), follow(world, "?after=0")]
    world.timeline.record("syslog", "one")
    for client in clients:
        client.hang_up()
    assert not world.reactor.getDelayedCalls()
    assert not listeners(world)
    world.timeline.record("syslog", "two")
    assert not world.reactor.getDelayedCalls()


def test_closing_the_port_hangs_up_on_followers(world: World) -> None:
    client = follow(world)
    world.site.stopFactory()
    assert not client.transport.connected
    assert not listeners(world)


def test_a_follower_that_leaves_during_the_replay_is_forgotten(world: World) -> None:
    timeline = slow(world)
    client = follow(world, "?after=0")
    client.hang_up()
    timeline.go_on()
    assert not listeners(world)


@pytest.mark.parametrize(("field", "value", "status"), [("node", "nobody", 404), ("install", "none", 404), ("after", "x", 422)])
def test_a_wrong_request_is_a_json_error_that_names_the_field(api: Api, world: World, field: str, value: str, status: int) -> None:
    error = api.fails("GET", f"/events?{field}={value}")
    assert (error["status"], error["field"]) == (status, field)
    assert not listeners(world)


def test_while_the_store_is_away_a_replay_is_a_503_and_nobody_is_left_behind(api: Api, world: World) -> None:
    async def history(**_: Any) -> list[Event]:
        raise StorageUnavailable("the database is away")

    slow(world).history = history  # type: ignore[method-assign]
    assert api.fails("GET", "/events?after=0")["status"] == 503
    assert not listeners(world)


def test_a_follower_whose_replay_breaks_off_is_hung_up_on_and_can_come_back(world: World) -> None:
    """It would wait for ever on a connection over which nothing comes any more, not even a sign of life."""
    timeline = slow(world)
    for number in range(PAGE + 1):
        timeline.record("syslog", str(number))
    client = follow(world, "?after=0")
    timeline.go_on()
    wait, _ = timeline.waiting.pop(0)
    wait.errback(StorageUnavailable("the database is away"))
    assert not client.transport.connected
    assert not listeners(world)


def test_more_followers_than_there_may_be_are_refused(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "FOLLOWERS", 1)
    follow(world)
    assert api.fails("GET", "/events")["status"] == 503


@pytest.mark.slow
async def test_over_real_sockets_a_follower_that_does_not_read_is_dropped_and_the_others_miss_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, reactor=reactor)
    async with listening(world.site) as port:
        reading, deaf = Client(port), Client(port, receive_buffer=4096)
        for client in (reading, deaf):
            client.get("/api/v1/events", Authorization=f"Bearer {TOKEN}")
            await client.head()
        await until(lambda: bool(listeners(world)))
        arrived = 0
        tail = b""
        for number in range(1, 31):
            for _ in range(300):
                world.timeline.record("syslog", "x" * 900)
            while arrived < 300 * number:
                data = tail + await reading.some(1 << 20)
                arrived += data.count(b"\nevent: ")
                tail = data[-7:] if not data.endswith(b"\nevent: ") else b""
        await until(lambda: world.site.connections == 1)
        deaf.close()
        reading.close()
        await until(lambda: not listeners(world))
