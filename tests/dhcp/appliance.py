"""The responder alone as a process, for tests on real wires:
``python -m tests.dhcp.appliance --arm MAC [--interface IF] [--http PORT] [--socket MODE]``.

Writes one JSON object per line: ``{"ready": true, "raw": bool}`` first, then every event of the timeline. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from pxed.config import load
from pxed.dhcp.responder import Responder
from pxed.node.inventory import Inventory
from pxed.node.model import Event
from pxed.node.timeline import Timeline
from tests.dhcp.world import INSTALLER, FixedPrograms

reactor: Any = _reactor


class Hello(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"hello\n"


def say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--arm", action="append", default=[])
    parser.add_argument("--interface", action="append")
    parser.add_argument("--http", type=int)
    parser.add_argument("--socket", default="auto")
    chosen = parser.parse_args()
    timeline = Timeline(now=time.time)
    inventory = Inventory(now=time.time, timeline=timeline)
    for mac in chosen.arm:
        node = inventory.seen(mac)
        node.known, node.boot = True, INSTALLER

    def tell(event: Event) -> None:
        say({"kind": event.kind, "text": event.text, "data": event.data})

    timeline.subscribe(tell)
    settings = load(None, {"interfaces": chosen.interface or ["eth0"], "dhcp": {"socket": chosen.socket}})
    responder = Responder(reactor=reactor, inventory=inventory, timeline=timeline, programs=FixedPrograms, settings=settings, now=time.time)
    responder.privilegedStartService()
    responder.startService()
    if chosen.http:
        reactor.listenTCP(chosen.http, Site(Hello()))
    reactor.addSystemEventTrigger("before", "shutdown", responder.stopService)
    reactor.callWhenRunning(lambda: say({"ready": True, "raw": responder.status()["raw"]}))
    reactor.run()


if __name__ == "__main__":
    main()
