"""Lets `import torchvision` succeed where torchvision is a CUDA build beside a CPU build of torch.

The registry's torchvision is a CUDA build: with CPU torch its native operators do not load, and the import fails at
`torchvision::nms` because their schemas are missing. Nothing in training calls these operators; the schemas are enough.

vLLM's engine process imports torchvision before any plugin of verl or vLLM runs, so this has to act at interpreter
start: `mixed-r1 doctor --fix` writes a `.pth` file for it, only where the import fails.
"""

import contextlib
import ctypes
import sys
from collections.abc import Sequence
from importlib import machinery
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

PTH_NAME = "mixed_r1_verl_torchvision_ops.pth"
PTH_LINE = (
    "import importlib.util as u; u.find_spec('mixed_r1_verl') and "
    "__import__('mixed_r1_verl.plugin.cpu.torchvision_ops', fromlist=['watch']).watch()\n"
)

_libraries: list[object] = []  # torch forgets the schemas of a library object that is collected


class _BeforeTorchvision(MetaPathFinder):
    """Defines the missing schemas when torchvision is about to be imported, then steps aside."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> machinery.ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = machinery.PathFinder.find_spec("torchvision")
        if spec is not None and spec.submodule_search_locations:
            define_missing_schemas(Path(spec.submodule_search_locations[0]))
        return None


def watch() -> None:
    """Act on the first import of torchvision in this process. Costs nothing until then. Safe to call again.

    (Where `lib64` is a link to `lib`, Python reads each `.pth` file twice.)
    """
    if not any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())


def define_missing_schemas(torchvision_dir: Path) -> None:
    """Define the operator schemas that torchvision's Python code refers to, unless its native library loads."""
    import torch

    if _libraries:
        return
    for native in torchvision_dir.glob("_C*.so"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(native))
            return
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)


def install(site_packages: Path) -> Path:
    """Write the `.pth` file that calls `watch` at interpreter start; returns its path."""
    target = site_packages / PTH_NAME
    target.write_text(PTH_LINE, encoding="utf-8")
    return target
