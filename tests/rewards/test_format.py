"""The format reward, over TRL's fourteen strings and over the contract's own cases.

TRL's `think_format_reward` asks for one think block at the beginning and takes what follows for the answer; ours asks
for an answer block as well, and for a think block that is not empty. So each of TRL's strings is tested as it is
(always 0: no answer block) and with its answer put into a block, where the verdict is TRL's, save for empty reasoning.
"""

import pytest

from mixed_r1_verl.rewards.extraction import format_reward, parse_response

# before the answer, answer, TRL's verdict
TRL = [
    ("<think>This is my reasoning.</think>", "This is my answer.", 1.0),
    ("<think>\nThis is my reasoning.\n</think>\n", "This is my answer.", 1.0),
    ("<think>\nThis is\nmy reasoning.\n</think>\n", "This is my answer.", 1.0),
    ("<think>\nThis is <some tag> my reasoning.</think>\n", "This is my answer.", 1.0),
    ("<think></think>\n", "This is my answer.", 1.0),
    ("<think>\nThis is my reasoning.\n", "This is my answer.", 0.0),
    ("<think>This is my reasoning.\n", "This is my answer.", 0.0),
    ("This is my reasoning. ", "This is my answer.", 0.0),
    ("This is my reasoning.\n", "This is my answer.", 0.0),
    ("This is my reasoning.</think>\n", "This is my answer.", 0.0),
    ("This is my reasoning.</think>", "This is my answer.", 0.0),
    ("This<think>is my reasoning.</think>\n", "This is my answer.", 0.0),
    ("<think>This is<think>my reasoning.</think></think>", "This is my answer.", 0.0),
    ("<think>This is</think>\nmy\n<think>reasoning.</think>\n", "This is my answer.", 0.0),
]


@pytest.mark.parametrize(("before", "answer", "verdict"), TRL)
def test_trl_strings(before: str, answer: str, verdict: float) -> None:
    assert format_reward(parse_response(before + answer)) == 0.0
    ours = 0.0 if before.startswith("<think></think>") else verdict
    assert format_reward(parse_response(f"{before}<answer>{answer}</answer>")) == ours


CONTRACT = [
    ("<think>a</think><answer>b</answer>", 1.0),
    ("\n<think>a</think>\n\n<answer>b</answer>\n", 1.0),
    ("<think>a</think><answer>b</answer><|im_end|>", 1.0),
    ("<think>a</think><answer>b</answer><answer>b</answer>", 0.0),
    ("<think> </think><answer>b</answer>", 0.0),
    ("<think>a</think><answer> </answer>", 0.0),
    ("<think>a</think>:<answer>b</answer>", 0.0),
    ("<answer>b</answer><think>a</think>", 0.0),
    ("<answer>b</answer>", 0.0),
    ("<think>a<answer>c</answer></think><answer>b</answer>", 0.0),
    ("", 0.0),
]


@pytest.mark.parametrize(("response", "score"), CONTRACT)
def test_contract(response: str, score: float) -> None:
    assert format_reward(parse_response(response)) == score
