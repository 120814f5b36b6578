"""The HTTP client towards upstream mirrors: treq, with the bytes left as they are, and URLs whose credentials stay out of sight."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from treq.client import HTTPClient
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent, HTTPConnectionPool, ProxyAgent, _HTTP11ClientFactory
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

CONNECT = 10.0
"""Seconds to reach an upstream."""
_MOVED = frozenset({301, 302, 303, 307, 308})
PARALLEL = 8
"""Connections kept open per upstream host."""


class Upstream:
    """A base URL. `str` and `repr` show it without user and password."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url.rstrip("/"))
        host = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, host, parts.path, "", ""))
        self.headers: dict[str, str] = {}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self.headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode("ascii")

    def url(self, path: str) -> str:
        """The URL of `path` (decoded). Everything but unreserved characters is encoded, ``+`` too: apt asks the same way."""
        return f"{self._base}/{quote(path.encode('utf-8', 'surrogateescape'), safe='/~')}"

    def __str__(self) -> str:
        return self._base

    def __repr__(self) -> str:
        return f"Upstream({self._base!r})"


class Quiet(_HTTP11ClientFactory):
    """One connection is no news: without this each of them logs two lines."""

    noisy = False


class _Unwanted(Protocol):
    """The body of an answer that nobody wants. What has all come already leaves its connection to the next request."""

    def connectionMade(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]


def let_go(response: Any) -> None:
    """Give up an answer instead of reading its body: one that nobody reads keeps its connection open for ever."""
    response.deliverBody(_Unwanted())


@implementer(IAgent)
class Verbatim:
    """Asks for the bytes as they are and hides Content-Encoding, so that nobody unpacks a ``Packages.gz`` on the way. Whoever follows a
    redirection does not read the answer that told of it; that is let go of here."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None) -> Any:
        asked = headers.copy() if headers is not None else Headers()
        asked.setRawHeaders(b"Accept-Encoding", [b"identity"])
        return self._agent.request(method, uri, asked, bodyProducer).addCallback(_as_is)


def _as_is(response: Any) -> Any:
    response.headers.removeHeader(b"Content-Encoding")
    if response.code in _MOVED:
        let_go(response)
    return response


def make_client(reactor: Any, http_proxy: str | None = None) -> HTTPClient:
    """A treq client that keeps connections. `http_proxy` (``http://host:port``) is used for http URLs and https alike, as a plain proxy."""
    pool = HTTPConnectionPool(reactor)
    pool._factory = Quiet
    pool.maxPersistentPerHost = PARALLEL
    pool.cachedConnectionTimeout = 30
    if http_proxy:
        proxy = urlsplit(http_proxy)
        endpoint = HostnameEndpoint(reactor, proxy.hostname or "", proxy.port or 3128, timeout=CONNECT)
        return HTTPClient(Verbatim(ProxyAgent(endpoint, reactor=reactor, pool=pool)))
    return HTTPClient(Verbatim(Agent(reactor, connectTimeout=CONNECT, pool=pool)))
