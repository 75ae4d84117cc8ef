"""LoRA in vLLM: adapters that come as tensors, as verl sends them, answer as they do in transformers."""

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
