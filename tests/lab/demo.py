"""``make demo FIRMWARE=bios|uefi|uefi-http``: from nothing to an installed machine that calls back, with what happens printed on the way.

The last line is ``demo: bios: installed and booted in 612 s`` or ``demo: bios: FAILED at STAGE: reason``. Exit status: 0 done, 1 pxed
failed, 2 this host can't run the lab (or the demo was interrupted). Leaves nothing behind but the cache of prepared packages.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from typing import Any

from tests.lab import assets, host
from tests.lab.appliance import Refused
from tests.lab.journey import ALL, Journey, Stuck
from tests.lab.machine import FIRMWARES, Firmware, Machine, accelerator
from tests.lab.process import LabProblem
from tests.lab.scene import Scene


def main() -> int:
    """Run it; returns the exit status. SIGTERM and Ctrl-C clean up as an error does."""
    parser = argparse.ArgumentParser(prog="demo", description="Install Debian onto a virtual machine through pxed.")
    parser.add_argument("--firmware", default="bios", choices=FIRMWARES)
    parser.add_argument("--release", default="12", choices=sorted(assets.CODENAMES))
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    stage, reason, status = "lab", "", 2
    try:
        problem = host.missing()
        if problem:
            raise LabProblem(problem)
        seconds = demo(chosen.firmware, chosen.release)
        say(f"demo: {chosen.firmware}: installed and booted in {seconds:.0f} s")
        return 0
    except Stuck as stuck:
        stage, reason, status = stuck.stage, stuck.reason, 1
    except (Refused, TimeoutError) as error:
        stage, reason, status = "appliance", str(error), 1
    except LabProblem as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "interrupted"
    say(f"demo: {chosen.firmware}: FAILED at {stage}: {' '.join(reason.split())}")
    return status


def demo(firmware: Firmware, release: str) -> float:
    """The whole story; returns the seconds from power-on to the installed system's word. Stuck, Refused, LabProblem."""
    heading(f"Debian {release} onto a virtual machine with {firmware} firmware ({accelerator()[1].split(',')[0]})")
    prepared = assets.prepare(release, say=say)
    for line in assets.describe(prepared):
        say(line)
    heading("The lab: a switch, a DHCP server that leases addresses and no more, pxed beside it, no way out")
    with Scene(prepared, name=f"demo-{firmware}", say=say) as scene:
        machine = scene.machine(firmware, name=f"demo-{firmware}")
        heading(f"The operator arms an install for {machine.mac}")
        operate(scene, "install", machine.mac, "debian", "--release", release, options=scene.options(machine.name))
        operate(scene, "node", "list")
        heading("The machine is switched on (seconds since then)")
        machine.power_on()
        journey = Journey(scene.appliance, machine, say=say)
        journey.through(*ALL)
        report(scene, machine, journey)
        return journey.took["booted"]


def operate(scene: Scene, *words: str, options: dict[str, Any] | None = None) -> None:
    """Show and run one command of the operator's; options go in by standard input, since a password is among them."""
    given = ["--options-file", "-"] if options else []
    say(f"$ pxed {' '.join([*words, *given])}")
    if options:
        say(json.dumps({**options, "rootPassword": "(random)"}, indent=2))
    said = scene.appliance.cli(*words, *given, stdin=json.dumps(options) if options else "")
    say("\n".join(f"  {line.rstrip()}" for line in said.rstrip().splitlines()))


def report(scene: Scene, machine: Machine, journey: Journey) -> None:
    """What was installed, as the machine's own console says, and how long each stage took."""
    prompt = machine.await_console(r"(Debian GNU/Linux \d+) (\S+) ttyS0[\s\S]*login:", within=180.0)
    kernels = re.findall(r"Linux version (\S+)", machine.console())
    heading("What was installed")
    say(f"{prompt[1]}, host name {prompt[2]}, kernel {kernels[-1] if kernels else '?'}; its console asks for a login")
    operate(scene, "node", "list")
    heading("How long each stage took")
    before = 0.0
    for name, at in journey.took.items():
        say(f"{at - before:7.1f} s  {name:<12} (at {at:.1f} s)")
        before = at


def heading(text: str) -> None:
    say(f"\n== {text}")


def say(text: str) -> None:
    print(text, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
