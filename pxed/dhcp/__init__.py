"""The proxy-DHCP door: adds boot information to leases that somebody else's DHCP server owns.

Rules of the room: `packet`, `options` and `offer` are pure (bytes in, values out, no Twisted); only `sockets` touches the wire and only
`responder` joins the two with the inventory and the timeline. No reply ever carries an address, a lease, a mask, a router or DNS, and a
REQUEST on port 67 is never answered: it belongs to the DHCP server. A bad packet is dropped and counted, never an exception.

Implements: RFC 951, 2131, 2132, 3004, 3046, 3396, 4578, 5970 (IPv4 parts), PXE 2.1 (proxy-DHCP, boot server on 4011), UEFI HTTP Boot.
This room imports neither another door (tftp, web, syslog, cli) nor workflow, oses or the store.
"""
