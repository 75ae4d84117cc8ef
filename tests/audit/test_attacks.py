"""Attacks: none knows what it must not, each is the same each time, and every kind gets those that suit it."""

from dataclasses import replace

import pytest

from mixed_r1_verl.audit.attacks import FORMAT_ATTACKS, attacks_on
from mixed_r1_verl.rewards.cheats import Cheat, Target, reply, say
from mixed_r1_verl.rewards.custom import function_kind
from mixed_r1_verl.rewards.kind import RewardKind
from mixed_r1_verl.rewards.kinds import KINDS

CUSTOM = function_kind("custom", lambda answer, ground_truth: answer == ground_truth)
ATTACKS = attacks_on(CUSTOM)

TARGET = Target(
    question="Which animal is it?",
    choices=("cat", "dog", "bird"),
    honest="[[12, 34, 56, 78]]",
    unrelated="[[1, 2, 3, 4]]",
    extent=(640, 480),
    frequent=("animal", "dog"),
    seed=7,
)


@pytest.mark.parametrize("attack", [*ATTACKS, *FORMAT_ATTACKS], ids=lambda attack: attack.name)
def test_only_attacks_that_say_so_know_the_gold(attack: Cheat) -> None:
    response, other = attack.respond(TARGET), attack.respond(replace(TARGET, honest="[[90, 91, 92, 93]]"))
    if attack.sort in ("blind", "fitted"):
        assert response == other
    if attack.sort == "padded":
        assert "[[12, 34, 56, 78]]" in response and response != other
    if attack.sort == "worsened":
        assert response != reply(TARGET.honest)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attacks_are_the_same_each_time(attack: Cheat) -> None:
    assert attack.respond(TARGET) == attack.respond(TARGET)


@pytest.mark.parametrize("kind", [*KINDS.values(), CUSTOM], ids=lambda kind: kind.name)
def test_names_are_unique_within_a_kind(kind: RewardKind) -> None:
    names = [attack.name for attack in attacks_on(kind)]
    assert len(names) == len(set(names)) >= 30


def test_a_custom_kind_is_tried_with_every_attack() -> None:
    assert {attack.name for kind in KINDS.values() for attack in attacks_on(kind)} == {
        attack.name for attack in ATTACKS
    }


def test_a_custom_kind_brings_attacks_of_its_own() -> None:
    kind = replace(CUSTOM, cheats=(say("nonsense", "xyz"),))
    assert {"nonsense", "flood"} <= {attack.name for attack in attacks_on(kind)}


# Issue 3, point 7: the attacks that it names, and where they are.
NAMED = {
    "empty": "empty_response",
    "all letters": "all_letters",
    "hedging": "hedging",
    "answer in the think block": "answer_in_think",
    "two answers": "two_answers",
    "tag smuggling": "nested_answer",
    "box flooding": "flood",
    "whole-image box": "whole_image",
    "number lists": "number_list",
    "stop words": "stop_words",
    "generic caption": "generic_caption",
    "repetition": "repeated_word",
    "dictionary dump": "dictionary_dump",
    "padding": "space_padding",
    "special tokens": "special_tokens",
    "unicode look-alikes": "unicode_look_alikes",
}


@pytest.mark.parametrize("asked", NAMED)
def test_attacks_that_were_asked_for(asked: str) -> None:
    assert NAMED[asked] in {attack.name for attack in ATTACKS}
