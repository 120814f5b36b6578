"""The `pxed` command: talks to the appliance's API, starts it, and says whether this host is fit for it.

Rules of the room: it knows the API and nothing of the rooms behind it (it imports `errors`, `config`, `node.identity` and
`repo.bootprograms`, never another door); a secret is never taken from the command line and never printed; each expected error is one
sentence on standard error with the remedy, no traceback; exit status 0 done, 1 failed or refused, 2 wrong use or environment; whatever a
node said is stripped of control characters before it reaches a terminal; every command that prints data also prints it as JSON.
"""
