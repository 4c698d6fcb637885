"""A small hub on this machine, so that fetching is tested through huggingface_hub's own client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Serves ``files`` as the repository ``repo``; notes what was asked for."""

    repo: str
    files: dict[str, bytes]
    url: str = ""
    breaks: dict[str, int] = field(default_factory=dict)  # end each answer after so many bytes
    corrupt: set[str] = field(default_factory=set)  # send zeros instead
    etags: dict[str, str] = field(default_factory=dict)  # that are no digests
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, range

    def ranges(self, name: str) -> list[str | None]:
        """The ranges that were asked of a file, in order."""
        return [
            span for method, path, span in self.asked if method == "GET" and path.endswith(name)
        ]


@contextmanager
def serve(folder: Path, repo: str, *extra: str) -> Iterator[Hub]:
    """A hub that holds the files of ``folder``, and ``extra`` ones that nobody should fetch."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub = Hub(repo, files | {name: b"not for us" for name in extra})

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Range")))
            if path == "/":
                self.reply(200, b"", body)
            elif path.startswith(f"/api/models/{repo}"):
                _, _, revision = path.partition("/revision/")
                if revision not in ("", "main", "v1", COMMIT):
                    self.reply(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
                    return
                siblings = [
                    {"rfilename": name, "size": len(data)} for name, data in hub.files.items()
                ]
                info = {"id": repo, "sha": COMMIT, "siblings": siblings}
                self.reply(200, json.dumps(info).encode(), body)
            elif path.startswith(f"/{repo}/resolve/") and path.split("/")[-1] in hub.files:
                self.file(path.split("/")[-1], body)
            else:
                self.reply(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})

        def file(self, name: str, body: bool) -> None:
            data = hub.files[name]
            digest = hashlib.sha256(data) if name.endswith((".safetensors", ".bin")) else None
            etag = digest.hexdigest() if digest else hashlib.sha1(data).hexdigest()
            headers = {
                "ETag": f'"{hub.etags.get(name, etag)}"',
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(data)),
            }
            if name in hub.corrupt:
                data = bytes(len(data))
            status, start = 200, 0
            if span := self.headers.get("Range"):
                status, start = 206, int(span.removeprefix("bytes=").removesuffix("-"))
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.reply(status, data[start:], body, headers, hub.breaks.get(name))

        def reply(
            self,
            status: int,
            data: bytes,
            body: bool,
            headers: dict[str, str] | None = None,
            limit: int | None = None,
        ) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data[:limit])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
