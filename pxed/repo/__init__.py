"""Where installer files come from: directories, a caching mirror, boot programs.

Rules of the room: a file never leaves its root (`rooted`); disks are read and written in threads; an upstream's credentials are never
logged; what is on disk can be thrown away at any time. This room must not import a door (dhcp, tftp, syslog, web, cli).
RFC 9110 (conditional requests, ranges), RFC 9111 section 4 (freshness, serving stale).
"""
