"""An operator's client for the site in memory."""

from __future__ import annotations

import json
from typing import Any

from tests.web.world import TOKEN, Response, World


class Api:
    """JSON in and out, with the token."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ask(self, method: str, path: str, body: bytes = b"") -> Response:
        return self.world.ask(method, f"/api/v1{path}", body, headers={"Authorization": f"Bearer {TOKEN}"}, peer="10.0.0.5")

    def get(self, path: str) -> Any:
        response = self.ask("GET", path)
        assert response.code == 200, response.body
        assert response.headers["content-type"] == "application/json"
        return json.loads(response.body)

    def send(self, method: str, path: str, value: Any = None, *, code: int = 200) -> Any:
        response = self.ask(method, path, b"" if value is None else json.dumps(value).encode())
        assert response.code == code, response.body
        return json.loads(response.body) if response.body else None

    def fails(self, method: str, path: str, body: Any = b"") -> dict[str, Any]:
        """The error, its status among it."""
        response = self.ask(method, path, body if isinstance(body, bytes) else json.dumps(body).encode())
        assert response.code >= 400, response.body
        return {"status": response.code, **json.loads(response.body)["error"]}
