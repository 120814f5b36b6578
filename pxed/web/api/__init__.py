"""The operator's API, ``/api/v1``: JSON over HTTP with a bearer token, klein routes, and the timeline as server-sent events.

Errors are ``{"error": {"message", "field", "expected"}}``: 400 not understood, 401 no or wrong token, 404 no such thing, 409 does not fit
the present state, 422 a field is wrong, 503 our store is away. Times are RFC 3339, UTC. Nothing here shows a secret.
"""

from pxed.web.api.gate import make_api

__all__ = ["make_api"]
