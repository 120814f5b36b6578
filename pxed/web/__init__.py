"""TCP 80: boot profiles, boot programs, installer files, notifications, repositories and the operator's API.

Rules of the room: `site` shows the whole URL tree; the boot path is plain `twisted.web` Resources, klein only below ``/api``; nothing waits
for a disk or a database in the reactor; nobody's malformed request becomes an exception in our log; tokens never reach the log. RFC 9110
(ranges, conditions, HEAD), RFC 9112 (framing; bare LF accepted, section 2.2), UEFI 2.10 section 24.7 (HTTP Boot). This room must not import
another door (dhcp, tftp, syslog, cli).
"""
