"""What vLLM's processes load of this package; and LoRA there: adapters sent as tensors answer as in transformers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

REPOSITORY = Path(__file__).parent.parent.parent
HELPER = REPOSITORY / "tests" / "helpers" / "lora_in_vllm.py"
FAMILIES = REPOSITORY / "recipes" / "recipe" / "family"


def register(before: str) -> "subprocess.CompletedProcess[str]":
    """The entry point in a fresh process, as vLLM calls it in each of its own; prints the modules that came with it."""
    code = f"import sys; {before}; there = set(sys.modules); from mixed_r1_verl.plugin import vllm_plugin\n"
    code += "vllm_plugin.register(); print(*(name.partition('.')[0] for name in sys.modules if name not in there))"
    environment = {**os.environ, "VERL_PLATFORM": "nvidia"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)


def test_nothing_heavy_comes_with_the_entry_point() -> None:
    """`vllm serve` calls it too."""
    loaded = register("pass").stdout.split()
    assert "mixed_r1_verl" in loaded and len(loaded) < 300
    assert not {"vllm", "verl", "torch", "transformers", "ray"} & set(loaded)


def test_what_fails_is_said_and_ends_no_process_of_vllm() -> None:
    ran = register("sys.modules['mixed_r1_verl.plugin.seams'] = None")
    assert "could not plug into vLLM; `mixed-r1 doctor` says what to do" in ran.stderr


# A training run with LoRA is in tests/test_train_variants.py, for one family; these are the others' names of modules.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl", "internvl"])
def test_an_adapter_answers_in_vllm_as_in_transformers(tiny_models: Path, name: str) -> None:
    left_alone = OmegaConf.load(FAMILIES / f"{name}.yaml").actor_rollout_ref.model.exclude_modules
    command = [sys.executable, str(HELPER), str(tiny_models / name), left_alone]
    ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert ran.returncode == 0, ran.stderr[-3000:]
    result = json.loads(next(line for line in ran.stdout.splitlines() if line.startswith('{"transformers"')))
    assert result["vllm"] == result["transformers"] != result["vllm without adapter"]
    assert result["largest difference of log-probabilities"] < 1e-4
