"""Nodes that do what a firmware, an installer and an installed system do, against all of pxed in this process.

`appliance` is pxed as `tap` puts it together, on a database on disk, to be killed at will. `ipxe` runs boot scripts. `line` is the wire
between the hooks, run for real by a shell in a sandbox or by Wine's cmd.exe, and the appliance; `curl` reads how batch files call it.
`node` is what all nodes have in common; one module per installer says how that one finds its answers, what it fetches, which hooks it runs
and how often it restarts. `table` is who is who.

Rules: a node knows nothing but what it was sent. Every URL it asks comes out of an offer, a boot script, a kernel's command line or an
answer file, read in that file's own format. Time goes on only by what the node does (`sleep`, time-outs, restarts).
"""
