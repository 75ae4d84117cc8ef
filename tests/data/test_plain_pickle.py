"""Pickles of plain data, and pickles that want to do something."""

import os
import pickle
import subprocess
import sys

import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data import plain_pickle
from mixed_r1_verl.data.plain_pickle import read_plain_pickle

PLAIN = [{"a": 1, "b": [1.5, None, True, ("x", "ü")], "c": {"d"}}, "text", -3, 2**70]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data(tmp_path, protocol):
    plain = [value for value in PLAIN if not isinstance(value, dict) or protocol >= 4] + [{"a": [1, "b"]}]
    (tmp_path / "x.p").write_bytes(pickle.dumps(plain, protocol))
    assert read_plain_pickle(tmp_path / "x.p") == plain


def test_byte_strings_of_python_2(tmp_path):
    (tmp_path / "x.p").write_bytes(b"(lp0\nS'caf\\xe9'\np1\na.")
    assert read_plain_pickle(tmp_path / "x.p") == ["café"]


class Runs:
    def __reduce__(self):
        return os.system, ("touch was_run",)


HOSTILE = {
    "os.system": pickle.dumps(Runs()),
    "os.system_0": pickle.dumps([Runs()], 0),
    "inst": b"(S'touch was_run'\nios\nsystem\n.",
    "global": b"cbuiltins\neval\n(S'1'\ntR.",
    "stack_global": b"\x8c\x08builtins\x8c\x04eval\x93.",
    "extension": b"\x82\x01.",
    "persistent": b"Pfile\n.",
    "newobj": b"\x80\x02cbuiltins\nobject\n)\x81.",
    "reduce_without_global": b"]]R.",
    "memo_of_all_memory": b"]r\xff\xff\xff\xff.",
    "bytes_of_all_memory": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x0f",
    "bytearray_of_all_memory": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\x00\x00",
    "cut": pickle.dumps(PLAIN)[:-5],
    "empty": b"",
    "html": b"<html>not found</html>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.p").write_bytes(HOSTILE[name])
    if name == "memo_of_all_memory":
        assert read_plain_pickle(tmp_path / "x.p") == []
    else:
        with pytest.raises(DataError, match=r"x\.p is not a pickle of plain data"):
            read_plain_pickle(tmp_path / "x.p")
    assert not (tmp_path / "was_run").exists()


def test_the_memo_costs_no_memory(tmp_path):
    """The reader in C would take 64 GiB for this one."""
    (tmp_path / "x.p").write_bytes(HOSTILE["memo_of_all_memory"])
    script = (
        "import resource, sys, pathlib; from mixed_r1_verl.data.plain_pickle import read_plain_pickle;"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30));"
        "print(read_plain_pickle(pathlib.Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x.p")], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_size_limit_and_missing_file(tmp_path, monkeypatch):
    (tmp_path / "x.p").write_bytes(pickle.dumps(PLAIN))
    monkeypatch.setattr(plain_pickle, "MAX_PICKLE_BYTES", 10)
    with pytest.raises(DataError, match="limit of 10"):
        read_plain_pickle(tmp_path / "x.p")
    with pytest.raises(DataError, match="cannot be read"):
        read_plain_pickle(tmp_path / "y.p")
