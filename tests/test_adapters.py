"""Mixed-Reward under the calls that TRL, ms-swift and EasyR1 document, and without verl, torch or Ray."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from examples.demo.data import build_demo
from mixed_r1_verl.adapters import RewardFunction, compute_score_easyr1
from mixed_r1_verl.core.config import ConfigError

RIGHT, WRONG = "<think>It barks.</think><answer>B</answer>", "<think>It meows.</think><answer>A</answer>"
ROW = {"reward": "matching", "choices": ["cat", "dog"], "question": "Which animal?"}


@pytest.fixture(scope="module")
def reward() -> RewardFunction:
    return RewardFunction()


@pytest.mark.parametrize("truth", ["ground_truth", "solution"])
def test_trl_strings_and_messages(reward: RewardFunction, truth: str) -> None:
    columns = {name: [value] * 3 for name, value in ROW.items()} | {truth: ["B", "B", None]}
    trainer = {"prompts": ["?"] * 3, "completion_ids": [[1]] * 3, "trainer_state": object(), "log_metric": print}
    assert reward([RIGHT, WRONG, RIGHT], **columns, **trainer, image=[object()] * 3) == [1.0, 0.1, None]
    messages = [[{"role": "assistant", "content": text}] for text in (RIGHT, WRONG, RIGHT)]
    assert reward(completions=messages, **columns, **trainer) == [1.0, 0.1, None]
    assert reward.__name__ == "mixed_r1"


def test_what_cannot_be_scored_is_logged(reward: RewardFunction, caplog: pytest.LogCaptureFixture) -> None:
    assert reward(
        [RIGHT, RIGHT], reward=["matching", "nonsense"], ground_truth=["B", "B"], choices=[["cat", "dog"]] * 2
    ) == [1.0, None]
    (line,) = caplog.messages
    assert line.startswith("mixed_r1: 1 of 2 samples could not be scored; the first: ")


def test_rows_of_a_training_file(reward: RewardFunction) -> None:
    model, extra = {"style": "rule", "ground_truth": "B"}, {"reward": "matching", "choices": ["cat", "dog"]}
    assert reward([RIGHT], data_source=["demo"], reward_model=[model], extra_info=[extra]) == [1.0]


def test_ms_swift_makes_it_with_its_arguments_and_calls_it_with_columns() -> None:
    made = RewardFunction(args=object())
    assert made([WRONG], messages=[[]], **{name: [value] for name, value in ROW.items()}, solution=["A"]) == [1.0]


def test_options_are_those_of_the_reward_block() -> None:
    with pytest.raises(ConfigError, match="did you mean 'format_weight'"):
        RewardFunction(fromat_weight=0.2)
    assert RewardFunction(format_weight=0.5)([WRONG], reward=["matching"], ground_truth=["B"]) == [0.5]


@pytest.mark.parametrize("encode", [dict, json.dumps], ids=["struct", "json"])
def test_easyr1_gives_the_row_as_ground_truth(encode) -> None:
    inputs = [
        {"response": RIGHT, "response_length": 9, "ground_truth": encode(ROW | {"ground_truth": "B"})},
        {"response": RIGHT, "response_length": 9, "ground_truth": "B"},
    ]
    right, unrouted = compute_score_easyr1(inputs)
    assert right == {"overall": 1.0, "accuracy": 1.0, "format": 1.0, "error": 0.0}
    assert (unrouted["overall"], unrouted["error"]) == (0.0, 1.0)


@pytest.mark.parametrize("truth", [41, None, "[" * 100_000], ids=["number", "none", "brackets"])
def test_easyr1_a_truth_that_is_no_row_costs_itself_alone(truth: object) -> None:
    inputs = [{"response": RIGHT, "ground_truth": one} for one in (truth, ROW | {"ground_truth": "B"})]
    assert [one["error"] for one in compute_score_easyr1(inputs)] == [1.0, 0.0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trl_trains_two_steps_on_pictures(tmp_path: Path, warm_model: Path) -> None:
    pytest.importorskip("trl", reason="no TRL: pip install --no-deps trl accelerate")
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    build_demo(tmp_path, rows=16, val_rows=4)
    rows = [
        {
            "prompt": [{"role": "user", "content": row["prompt"][0]["content"].replace("<image>", "")}],
            "image": Image.open(io.BytesIO(row["images"][0]["bytes"])).convert("RGB"),
            **{name: row[name] for name in ("data_source", "reward_model", "extra_info")},
        }
        for row in pq.read_table(tmp_path / "train.parquet").to_pylist()
    ]
    options = GRPOConfig(
        output_dir=str(tmp_path / "run"),
        max_steps=2,
        logging_steps=1,
        per_device_train_batch_size=16,
        num_generations=4,
        max_completion_length=48,
        report_to="none",
        use_cpu=True,
        bf16=False,
    )
    function = RewardFunction(embedding_model=str(warm_model))
    trainer = GRPOTrainer(str(warm_model), reward_funcs=function, train_dataset=Dataset.from_list(rows), args=options)
    trainer.train()
    steps = [line for line in trainer.state.log_history if "rewards/mixed_r1/mean" in line]
    assert len(steps) == 2 and all(0 < line["rewards/mixed_r1/mean"] <= 1 for line in steps), steps
    assert any(line["grad_norm"] > 0 for line in steps)


def test_nothing_of_a_trainer_is_imported() -> None:
    code = """
import sys
for name in ("verl", "torch", "ray", "vllm", "transformers", "tensordict"):
    sys.modules[name] = None
from mixed_r1_verl.adapters import RewardFunction
from mixed_r1_verl import compute_score
from mixed_r1_verl.rewards.kinds import KINDS
say = "<think>I see.</think><answer>{}</answer>".format
truths = {"anls": "stop", "matching": "yes", "chart": "41"}
truths |= {"iou": "[[1, 2, 30, 40]]", "open_ended": "Two cats sleep.", "math": "x + 1"}
assert truths.keys() == set(KINDS)
for kind, truth in truths.items():
    row = {"reward": kind, "width": 50, "height": 50}
    assert compute_score("demo", say(truth), truth, row)["score"] > 0.999, kind
print(RewardFunction()([say("yes")], reward=["matching"], ground_truth=["yes"]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[1.0]"
