"""A model hub on this machine: the few requests with which huggingface_hub lists and downloads one model's files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "0123456789" * 4


@contextmanager
def serve_model(model: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The hub's address, and the names of the files that were downloaded, which grows."""
    downloaded: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = self.path.split("?")[0]
            files = [
                {
                    "rfilename": file.name,
                    "path": file.name,
                    "type": "file",
                    "size": file.stat().st_size,
                    "oid": file.name,
                }
                for file in folder.iterdir()
            ]
            if path.startswith(f"/api/models/{model}/revision/"):
                self.send(json.dumps({"id": model, "sha": REVISION, "siblings": files}).encode(), body)
            elif path.startswith(f"/api/models/{model}/tree/"):
                self.send(json.dumps(files).encode(), body)
            elif path.startswith(f"/{model}/resolve/") and (file := folder / path.rsplit("/", 1)[1]).is_file():
                downloaded.extend([file.name] * body)
                self.send(file.read_bytes(), body)
            else:
                self.send_error(404)

        def send(self, content: bytes, body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", downloaded
        finally:
            server.shutdown()
