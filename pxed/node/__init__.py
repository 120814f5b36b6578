"""Who is out there and what each one boots.

Rules of the room: memory answers (DHCP and TFTP never wait for a disk), the store remembers. Only `pxed.workflow` calls
`Inventory.assign`; the doors only read. `identity`, `mask` and `verdict` import no Twisted. This room must not import workflow, oses or
a door.
"""
