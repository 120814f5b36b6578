"""How a database got to the present schema: Alembic's environment and one module per change in `versions`.

A new change is a new module `mNNNN_what.py` with ``revision = "NNNN"`` and ``down_revision`` the one before; pxed only ever goes up.
"""
