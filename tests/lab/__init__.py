"""The lab: real firmware, a real DHCP server and the real Debian installer, on virtual wires, without hardware.

Rules of this room:

* Everything lives in network namespaces named ``pxlab<pid>-...``; the host's own network is never touched, and
  they have no route out. The one way to the Debian mirror is `tests.lab.relay`.
* Every child dies with the lab (parent-death signal), even when the lab itself is killed;
  the next lab sweeps the namespaces of dead ones.
* Judgement comes from outside pxed: from the wire (`tests.lab.wire`), the machine's serial console and the API; never from pxed's insides.
* The mirror's host name is read from apt at run time; it is never printed and never written outside the cache directory.

Modules: `process` (children that cannot outlive us), `network` (namespaces, bridge, taps), `dhcpd` (dnsmasq that only leases), `wire` (what
was said), `machine` (QEMU), `relay` (the way to the mirror), `aptroot`, `components`, `overlay`, `assets` (the installer and its packages),
`appliance` (a pxed), `scene` (all of it put together), `demo` (``make demo``).
"""
