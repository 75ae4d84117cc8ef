"""The smoke script: its model has the real shape, it says where no GPU is, and its run agrees with the plan."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SMOKE = Path(__file__).parent.parent.parent / "examples" / "gpu_smoke"


@pytest.fixture
def smoke_model() -> ModuleType:
    """examples/gpu_smoke/model.py"""
    spec = importlib.util.spec_from_file_location("gpu_smoke_model", SMOKE / "model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_special_tokens_stand_where_qwen_has_them(smoke_model: ModuleType, tmp_path: Path) -> None:
    """Ids of Qwen2.5-VL's published config.json: 151,643 to 151,656, in 151,936 rows."""
    from transformers import AutoProcessor

    from examples.demo.tiny.qwen2_5_vl import build_processor

    build_processor().save_pretrained(tmp_path)
    smoke_model.move_special_tokens(tmp_path / "tokenizer.json", 151936 - smoke_model.SPECIAL_ROWS)
    smoke_model.set_pixels(tmp_path / "processor_config.json")
    processor = AutoProcessor.from_pretrained(tmp_path)
    tokenizer = processor.tokenizer
    published = {"<|endoftext|>": 151643, "<|im_end|>": 151645, "<|vision_start|>": 151652, "<|image_pad|>": 151655}
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in published} == published
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (151645, 151643)
    text = "<|im_start|>user\nIs there a red circle?<|im_end|>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.decode([120000]).strip() == f"w{120000:x}"  # a sampled id has a text
    assert processor.image_processor.size["longest_edge"] == 12845056


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    command = [sys.executable, str(SMOKE / "run.py"), "--output", str(tmp_path / "run")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1 and "no GPU here: a model of 3b needs one" in ran.stdout
    assert not (tmp_path / "run").exists()


def tensors(state: object) -> dict[int, torch.Tensor]:
    """All tensors inside a checkpoint, each storage once (a tied head shares the embedding's)."""
    if isinstance(state, torch.Tensor):
        local = getattr(state, "_local_tensor", state)
        return {local.untyped_storage().data_ptr(): local}
    inside = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return {pointer: tensor for value in inside for pointer, tensor in tensors(value).items()}


def bytes_of(state: object) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(state).values())


@pytest.mark.verl
@pytest.mark.timeout(900)
def test_a_run_on_the_cpu_agrees_with_the_plan(tmp_path: Path) -> None:
    """Three steps of verl: parameters, optimizer state and KV cache against what `plan` said before."""
    command = [sys.executable, str(SMOKE / "run.py"), "--all", "--output", str(tmp_path), "trainer.save_freq=3"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    found = json.loads((tmp_path / "first_hour.json").read_text(encoding="utf-8"))
    assert found["machine"]["packages"]["verl"] and found["machine"]["nvidia-smi"]
    doctor, one, eight, tiny, *others = found["steps"]
    # the plan of a 7B model on one GPU says what would fit, and that as it is it does not
    assert [step["exit"] for step in (doctor, one, eight, tiny)] == [0, 1, 0, 0]
    assert [step["skipped"] for step in others] == ["no GPU here", "no GPU here", "0 GPUs of 8"]
    assert tiny["verdicts"]["KV cache, bytes a token"]["agrees"]
    assert "measured on a CPU: no figure above says anything about a GPU" in " ".join(tiny["output"].split())
    summary, tmp_path = tiny["summary"], tmp_path / "tiny"

    assert [step["number"] for step in summary["steps"]] == [1, 2, 3]
    for step in summary["steps"]:
        parts = [step[stage] for stage in summary["stages"] if stage != "step"]
        assert all(seconds > 0 for seconds in parts) and sum(parts) <= step["step"]
    assert {"gen", "old_log_prob", "update_actor", "update_weights"} <= set(summary["stages"])
    assert summary["reward"]["responses"] == 32 and 0 < summary["reward"]["share_of_step"] < 1
    assert summary["run"]["host_peak_bytes"] > 2**30

    actor = tmp_path / "checkpoints" / "global_step_3" / "actor"
    planned = summary["planned"]["phases"]["update"]
    weights = torch.load(actor / "model_world_size_1_rank_0.pt", weights_only=False)
    assert planned["parameters"] == pytest.approx(bytes_of(weights), rel=0.1)
    optimizer = torch.load(actor / "optim_world_size_1_rank_0.pt", weights_only=False)
    assert planned["optimizer"] == pytest.approx(bytes_of(optimizer), rel=0.1)
    measured = summary["kv_cache"]["bytes_per_token"]  # from what vLLM logged
    assert summary["planned"]["kv_bytes_per_token"] == pytest.approx(measured, rel=0.1)
