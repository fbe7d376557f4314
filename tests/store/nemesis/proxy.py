"""A way to a bucket that fails: errors, delays, connections that end, answers that are lost."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("500", "503", "slow", "reset", "lost answer")


class FaultyProxy:
    """Hands requests on to a server on this machine, and harms a share of them.

    Parameters
    ----------
    port : int
        Of the server.
    share : float
        How many requests come to harm, 0..1.
    seed : int
        Which ones.

    Attributes
    ----------
    url : str
        Where it listens.
    down : bool
        Whether everything is refused with 503.
    harmed : dict
        How often each fault came.
    """

    def __init__(self, port: int, share: float, seed: int) -> None:
        self.down = False
        self.harmed = dict.fromkeys(FAULTS, 0)
        chance = random.Random(seed)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = chance.choice(FAULTS) if chance.random() < share else None
                if proxy.down:
                    fault = "503"
                if fault is not None:
                    proxy.harmed[fault] += 1
                if fault in ("500", "503"):
                    self.send_response(int(fault))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if fault == "reset":
                    self.hang_up()
                    return
                if fault == "slow":
                    time.sleep(chance.uniform(0.1, 0.8))
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                upstream.request(self.command, self.path, body or None, dict(self.headers))
                found = upstream.getresponse()
                data = found.read()
                upstream.close()
                if fault == "lost answer":
                    self.hang_up()
                    return
                self.send_response(found.status)
                for name, value in found.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                        self.send_header(name, value)
                length = found.headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Say nothing: whoever was killed does not read its answer."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
