"""UDP and TCP 514: what installers and installed systems say, on the timeline of the node that says it.

Rules of the room: nothing that arrives raises; a node's flood costs one counter, not the loop; secrets that installers write into their
logs are masked before anybody sees them. RFC 3164 (BSD syslog), RFC 5424 (syslog), RFC 5426 (over UDP), RFC 6587 (over TCP). This room
must not import another door.
"""
