"""Reading a pickle of plain data from somebody who is not trusted.

A pickle is a program. Here its instructions that name a class or a function, or that call anything, end the reading;
lists, dicts, sets, text and numbers remain.
"""

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from mixed_r1_verl.core.rows import DataError

MAX_PICKLE_BYTES = 256 << 20


# The reader in Python, not the one in C: that one takes whatever room a pickle asks for its memo, up to all of it.
class _PlainUnpickler(pickle._Unpickler):  # type: ignore[name-defined,misc]
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}, and only plain data is read")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to an object outside, and only plain data is read")


def read_plain_pickle(path: Path) -> Any:
    """The lists, dicts, texts and numbers in a pickle.

    Args:
        path: a file; byte strings of Python 2 are read as Latin-1.

    Raises:
        DataError: the file is too large, is not a pickle, or holds anything but plain data.
    """
    try:
        size = path.stat().st_size
        if size > MAX_PICKLE_BYTES:
            raise DataError(f"{path} has {size} bytes, more than the limit of {MAX_PICKLE_BYTES} for a pickle")
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin-1").load()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # a broken or hostile pickle makes the reader raise nearly anything
        raise DataError(f"{path} is not a pickle of plain data: {type(error).__name__}: {error}"[:400]) from None
