"""A real HTTP server on the loopback that speaks OpenAI's protocol, and says what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


def said(text: Any, status: int = 200, **headers: str) -> Answer:
    return status, headers, json.dumps({"choices": [{"text": text}]}).encode()


def refused(status: int, message: str = "no", **headers: str) -> Answer:
    return status, headers, json.dumps({"error": {"message": message}}).encode()


class Server:
    """Answers by a function of the request's number and body; keeps what it was asked."""

    def __init__(self, answer: Callable[[int, dict[str, Any]], Answer]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer((200, {}, json.dumps({"data": [{"id": "first"}, {"id": "second"}]}).encode()))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with owner.lock:
                    owner.asked.append({"path": self.path, **body})
                    owner.headers.append({name.lower(): value for name, value in self.headers.items()})
                    number = len(owner.asked)
                self._answer(answer(number, body))

            def _answer(self, found: Answer) -> None:
                status, headers, data = found
                self.send_response(status)
                for name, value in {"content-length": str(len(data)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
