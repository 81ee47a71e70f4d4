"""Downloads: the clients of registries, and mirrors that serve anything."""

import contextlib
import hashlib
import http.server
import os
import threading
import time
from typing import ClassVar

import pytest

from distillery.datasets import _transports
from distillery.errors import UserError


def fake_client(folder, name, script):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.slow
def test_failing_clients_are_reported_without_addresses(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    work = tmp_path / "work"
    work.mkdir()
    fake_client(tmp_path / "bin", "dpkg-deb", "exit 0")
    fake_client(
        tmp_path / "bin", "npm", "echo no answer from https://user:word@example.org/x >&2; exit 3"
    )
    with pytest.raises(UserError, match=r"npm failed with status 3: no answer from \(address\)$"):
        _transports.npm_pack("package@1", work)
    fake_client(tmp_path / "bin", "npm", "exit 0")
    with pytest.raises(UserError, match="0 files"):
        _transports.npm_pack("package@1", work)
    fake_client(tmp_path / "bin", "apt-get", "echo 'E: Unable to locate package x' >&2; exit 100")
    with pytest.raises(UserError, match="apt-get update"):
        _transports.apt_download("x", work)
    monkeypatch.setattr(_transports, "CLIENT_SECONDS", 0.2)
    fake_client(tmp_path / "bin", "npm", "sleep 60 & wait")
    with pytest.raises(UserError, match="took longer"):
        _transports.npm_pack("package@1", work)


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves the right file at /right, and the wrong, a short, an endless, a dripping or no one
    elsewhere."""

    protocol_version = "HTTP/1.1"
    right = bytes(range(256)) * 400
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        what = self.path[1:]
        self.asked.append(what)
        self.close_connection = True
        if what == "none":
            self.send_error(404)
            return
        self.send_response(200)
        if what in ("right", "wrong", "short"):
            self.send_header("Content-Length", str(len(self.right)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the reader has had enough
            if what == "silent":
                time.sleep(5)
            elif what in ("endless", "dripping"):
                while True:
                    self.wfile.write(self.right if what == "endless" else b"x")
                    time.sleep(0 if what == "endless" else 0.02)
            else:
                self.wfile.write(
                    {"right": self.right, "wrong": self.right[::-1], "short": self.right[:-1]}[what]
                )

    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setattr(_transports, "ARCHIVE_BYTES", 1 << 20)
    monkeypatch.setattr(_transports, "CLIENT_SECONDS", 0.5)
    monkeypatch.setattr(_transports, "MIRROR_SECONDS", 0.3)
    Mirror.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


BAD = {
    "none": "404",
    "wrong": "is not the file that was published",
    "short": "is not the file that was published",
    "endless": "serves more than 1048576 bytes",
    "dripping": "took longer than 0.5 s",
    "silent": "timed out",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD)
def test_a_mirror_that_serves_the_wrong_a_short_an_endless_or_no_file_is_left_for_the_next(
    tmp_path, mirror, what
):
    md5 = hashlib.md5(Mirror.right).hexdigest()
    with pytest.raises(UserError, match=f"^file from {mirror}/{what}: .*{BAD[what]}"):
        _transports._mirrored([f"{mirror}/{what}"], tmp_path / "new", "file", md5)
    assert not list((tmp_path / "new").iterdir())
    _transports._mirrored(
        [f"{mirror}/{what}", f"{mirror}/right", f"{mirror}/never"], tmp_path, "file", md5
    )
    assert (tmp_path / "file").read_bytes() == Mirror.right and Mirror.asked == [
        what,
        what,
        "right",
    ]


def test_a_client_that_writes_without_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(_transports, "ARCHIVE_BYTES", 1 << 20)
    with pytest.raises(UserError, match="sh failed with status"):
        _transports._run(["/bin/sh", "-c", "cat /dev/zero > endless"], tmp_path)
    assert (tmp_path / "endless").stat().st_size <= 1 << 20
