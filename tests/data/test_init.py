"""What the author of a converter imports."""

import subprocess
import sys

import mixed_r1_verl.data

HEAVY = ("numpy", "pyarrow", "PIL", "sympy", "torch", "rich", "typer")


def test_all_names_are_there():
    assert all(hasattr(mixed_r1_verl.data, name) for name in mixed_r1_verl.data.__all__)


def test_importing_them_is_cheap():
    code = f"import sys; import mixed_r1_verl.data; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
