"""Mixed-Reward under the calls that TRL, ms-swift and EasyR1 document, and without verl, torch or Ray."""

import json
import subprocess
import sys

import pytest

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


def test_nothing_of_a_trainer_is_imported() -> None:
    code = """
import sys
for name in ("verl", "torch", "ray", "vllm", "transformers", "tensordict"):
    sys.modules[name] = None
from mixed_r1_verl.adapters import RewardFunction
from mixed_r1_verl import compute_score
from mixed_r1_verl.rewards.kinds import KINDS
say = "<think>I see.</think><answer>{}</answer>".format
truths = {"matching": "yes", "chart": "41", "iou": "[[1, 2, 30, 40]]", "open_ended": "Two cats sleep.", "math": "x + 1"}
assert truths.keys() == set(KINDS)
for kind, truth in truths.items():
    row = {"reward": kind, "width": 50, "height": 50}
    assert compute_score("demo", say(truth), truth, row)["score"] > 0.999, kind
print(RewardFunction()([say("yes")], reward=["matching"], ground_truth=["yes"]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[1.0]"
