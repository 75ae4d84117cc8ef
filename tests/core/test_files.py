"""Files are whole or not there, whatever interrupts the writer; locks are freed when their holder dies."""

import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mixed_r1_verl.core.files import Busy, atomic, link, lock, publish_folder, sha256_of, write_text


def test_an_exception_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic(path) as file:
        file.write("new")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_kill_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import sys, time; from pathlib import Path; from mixed_r1_verl.core.files import atomic\n"
        "with atomic(Path(sys.argv[1])) as file:\n"
        "    file.write('new'); file.flush(); print('written', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"


def test_text_is_utf8_with_line_feeds_and_escapes_for_surrogates(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "ä\n\ud800")
    assert (tmp_path / "a").read_bytes() == "ä\n\\ud800".encode()


def test_a_file_system_without_flock_is_locked_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lustre mounted without the option `flock`, for one."""

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    for _ in range(2):
        with lock(tmp_path / "lock"), pytest.raises(Busy), lock(tmp_path / "lock", wait=False):
            pass


def test_a_lock_is_exclusive_and_freed_by_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from mixed_r1_verl.core.files import lock\n"
        "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        with pytest.raises(Busy), lock(path, wait=False):
            pass
        holder.kill()
    with lock(path, wait=False):
        pass


def test_a_link_is_the_same_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x")
    link(tmp_path / "a", tmp_path / "b")

    def no_links(*_: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    link(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes() == b"x"


def test_a_published_folder_replaces_the_old_one(tmp_path: Path) -> None:
    for name, text in (("target", "old"), ("ready", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(text)
    publish_folder(tmp_path / "ready", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target" / "file").read_text() == "new"


def test_a_digest_is_hashlib_s(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()
