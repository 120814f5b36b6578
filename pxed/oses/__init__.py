"""What an install is made of: one module per OS family with its options, its releases, its recipe and its templates.

Rules of this room
* An option model is pure: no I/O, no Twisted, no clock. Secrets are hashed by `seal()` before anything is stored, and never appear in
  a repr, an error or a log line.
* A recipe imports `pxed.workflow.recipe` and nothing else of pxed.
* Every value a template prints is escaped for the template's own format by the format's kind (`render.py`); a value that cannot be
  written in a format is refused, never mangled.
* All files of an install are rendered once when it is created, so that a missing or impossible value is refused then.
"""
