"""The interpreter-start shim for a CUDA build of torchvision beside a CPU build of torch."""

import subprocess
import sys
from pathlib import Path

from mixed_r1_verl.plugin.cpu import torchvision_ops


def test_installed_line_is_valid_and_cheap(tmp_path: Path) -> None:
    path = torchvision_ops.install(tmp_path)
    assert path.name.endswith(".pth")
    code = (
        f"import sys; exec({path.read_text()!r}); exec({path.read_text()!r}); assert 'torch' not in sys.modules; "
        + ("assert sum(type(f).__name__ == '_BeforeTorchvision' for f in sys.meta_path) == 1")
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_line_of_an_earlier_version_still_works() -> None:
    old = (
        "import importlib.util as u; u.find_spec('mixed_r1_verl') and "
        "__import__('mixed_r1_verl.plugin.torchvision_ops', fromlist=['watch']).watch()"
    )
    code = f"import sys; {old}; assert any(type(f).__name__ == '_BeforeTorchvision' for f in sys.meta_path)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_line_is_silent_when_the_package_is_gone() -> None:
    code = (
        f"import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]; exec({torchvision_ops.PTH_LINE!r})"
    )
    ran = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd="/")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_missing_schemas_are_defined_where_the_native_library_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "_C.so").write_bytes(b"not a library")
    code = (
        "from pathlib import Path; import torch; from mixed_r1_verl.plugin.cpu import torchvision_ops as shim\n"
        f"shim.define_missing_schemas(Path({str(tmp_path)!r})); shim.define_missing_schemas(Path({str(tmp_path)!r}))\n"
        "assert torch.ops.torchvision.nms and torch.ops.torchvision.qnms"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
