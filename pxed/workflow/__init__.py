"""Installs: durable coroutines, by a journal and deterministic replay.

Rules of the room (docs/recipes.md has them for people): every await of a recipe takes one journal position; a notification is in the
inbox, committed, before it is acknowledged; the boot a node is assigned changes in the same transaction as the journal or the state
of its install; stopping pxed is not a cancel. `recipe` is all that a recipe may import, `replay` is pure, `journal` holds every
transaction, `run` is one install on its way, `installs` all of them, `engine` the verbs of the others. Must not import oses or a door.
"""
