"""What answers in the place of a run's Prefect server that is lost for good."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refusal(ThreadingHTTPServer):
    """In the place of the server: a refusal to every question."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Refuse, bind_and_activate=False)
        self.socket.close()
        listener.setblocking(True)  # the server had made it otherwise
        self.socket = listener


class _Refuse(BaseHTTPRequestHandler):
    """410: a client repeats a question that got 502 or 503, or no answer at all, for more than a minute."""

    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        """Take any method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b'{"detail": "the Prefect server of this run is gone"}'
        self.send_response(410)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be said of each."""
