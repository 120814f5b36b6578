"""Fake nodes that speak real packets: the boot storm behind `pxed bench`.

Rules of the room: one thread, one epoll, no reactor (it must be able to outrun the appliance that it measures); every loop is bounded in
count and time; it knows the wire only (RFC 2131, 4578, 1350, 2348, 9112) and nothing of pxed, so that the same storm measures any server.
"""
