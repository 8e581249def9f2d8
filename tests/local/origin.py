"""An origin that tells what it was asked, and misbehaves on some paths."""

import asyncio
import json

BODY = b"x" * 10
SIZES = {"huge": 15_000_000, "larger": 20_000_001}
CANNED = {
    "half": b"Content-Length: 100\r\n\r\n" + BODY,
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "rest": b"\r\n" + BODY,
} | {
    word: f"Cache-Control: {word}\r\nContent-Length: 10\r\n\r\n".encode() + BODY
    for word in ("private", "no-store", "no-cache", "max-age=0")
}


class FakeOrigin:
    def __init__(self):
        self.broken_off = 0
        self.paths = []
        self._tasks = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.broken_off += 1
        finally:
            writer.close()
            self._tasks.discard(asyncio.current_task())

    async def _answer(self, reader, writer):
        raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = raw.strip().split("\r\n")
        method, target, _ = line.split(" ")
        headers = [tuple(header.split(": ", 1)) for header in lines]
        self.paths.append(target)
        path = target.partition("?")[0].rpartition("/")[2]
        if path in {"early", "leaving"}:
            more = b"Connection: close\r\n" if path == "leaving" else b""
            writer.write(b"HTTP/1.1 400 Bad Request\r\n" + more + b"Content-Length: 5\r\n\r\nearly")
            await writer.drain()
            while await reader.read(65536):
                pass
            return
        if path == "die":
            return
        body = await self._body(reader, dict(headers))
        if path in CANNED:
            writer.write(b"HTTP/1.1 200 OK\r\n" + CANNED[path])
        elif path in SIZES:
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {SIZES[path]}\r\n\r\n"
            writer.write(head.encode() + bytes(SIZES[path]))
        elif path == "slow":
            await asyncio.sleep(30)
        elif path == "nonsense":
            writer.write(b"220 smtp.example\r\n\r\n")
        elif path.isdecimal() and len(path) == len("200"):
            writer.write(f"HTTP/1.1 {path} So\r\nX-Own: o\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            told = json.dumps(
                {"method": method, "target": target, "headers": headers, "body": len(body)}
            ).encode()
            head = f"HTTP/1.1 200 OK\r\nX-Own: o\r\nConnection: close\r\nContent-Length: {len(told)}\r\n\r\n"
            # An interim answer is not the client's.
            writer.write(
                b"HTTP/1.1 100 Continue\r\n\r\n" + head.encode() + (b"" if method == "HEAD" else told)
            )
        await writer.drain()

    async def _body(self, reader, headers):
        if "transfer-encoding" in headers:
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
            return body
        return await reader.readexactly(int(headers.get("content-length", "0")))
