"""Requests as real clients send them, for mutation. {token} stands for an install's token. Seen on the wire unless said otherwise."""

from __future__ import annotations

# ruff: noqa: E501
REQUESTS: dict[str, bytes] = {
    "OVMF HTTP Boot, first": b"HEAD /b/ipxe.efi HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n",
    "OVMF HTTP Boot, second": b"GET /b/ipxe.efi HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n",
    "iPXE profile": b"GET /p/525400123456 HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: iPXE/1.0.0+git\r\nHost: 10.0.0.1\r\n\r\n",
    "iPXE block device (SAN boot)": b"GET /b/ipxe.efi HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: iPXE/1.0.0+git\r\nHost: 10.0.0.1\r\nRange: bytes=512-1023\r\n\r\n",
    "iPXE imgfetch as a callback": b"GET /i/{token}/notify/started?status=fail&message=error+0x3e11613b HTTP/1.1\r\nConnection: keep-alive\r\nHost: 10.0.0.1\r\n\r\n",
    "debian-installer's wget": b"GET /i/{token}/preseed.cfg HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: debian-installer\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n",
    "wget --post-data": b"POST /i/{token}/notify/installed HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: Keep-Alive\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 26\r\n\r\nstatus=fail&message=nodisk",
    "curl --json": b'POST /i/{token}/notify/booted HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: curl/7.88.1\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: 33\r\n\r\n{"status": "ok", "message": "hi"}',
    "curl -T - (chunked)": b"PUT /i/{token}/notify/log HTTP/1.1\r\nHost: 10.0.0.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "bash /dev/tcp": b"POST /i/{token}/notify/booted HTTP/1.0\r\nHost: 10.0.0.1\r\nContent-Length: 2\r\n\r\nok",
    "busybox nc, bare line feeds": b"GET /i/{token}/notify/installed HTTP/1.0\n\n",
    "apt": b'GET /repo/debian/dists/bookworm/InRelease HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: Debian APT-HTTP/1.3 (2.6.1)\r\nAccept: text/*\r\nIf-Modified-Since: Sat, 07 Jun 2025 09:10:11 GMT\r\nRange: bytes=100-\r\nIf-Range: "abc"\r\nCache-Control: max-age=0\r\n\r\n',
    "an operator's order": b'POST /api/v1/installs HTTP/1.1\r\nHost: 10.0.0.1\r\nAuthorization: Bearer operator-token\r\nContent-Type: application/json\r\nContent-Length: 47\r\n\r\n{"node": "52:54:00:12:34:57", "os": "debian"}  ',
    "an operator's list": b"GET /api/v1/nodes/525400123456/events?after=3&limit=5 HTTP/1.1\r\nHost: pxed\r\nAuthorization: Bearer operator-token\r\nCookie: a=b; c\r\n\r\n",
    "an operator's change": b'PATCH /api/v1/nodes/525400123456 HTTP/1.1\r\nHost: pxed\r\nAuthorization: Bearer operator-token\r\nContent-Length: 16\r\n\r\n{"name": "web1"}',
    "a follower": b"GET /api/v1/events?after=0 HTTP/1.1\r\nHost: pxed\r\nAuthorization: Bearer operator-token\r\nLast-Event-ID: 7\r\n\r\n",
    "a TLS client": bytes.fromhex("160301013c010001380303") + bytes(range(80)),
}

SYSLOG: tuple[bytes, ...] = (
    b"<30>Nov 22 10:15:01 main-menu[312]: INFO: Menu item 'partman-base' selected",
    b"<6>Nov 22 10:15:01 kernel: [    0.000000] Command line: url=http://10.0.0.1/i/SECRET/preseed.cfg",
    b"<13>2026-11-22T10:15:01.123456+01:00 web1 systemd[1]: Started x.",
    b'<165>1 2003-10-11T22:14:15.003Z host evntslog - ID47 [exampleSDID@32473 iut="3" a="\\"]x"][b@1 c="d"] \xef\xbb\xbfAn event',
    b"<14>in-target: $6$salt$hash password=hunter2",
)
