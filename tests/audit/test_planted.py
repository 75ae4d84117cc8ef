"""Every attack that was asked for by name, against a reward with the flaw that it is made for: the audit says so.

The flaws are those of readers that public projects use: a claim is looked for somewhere and the rest ignored, letters
are dropped, numbers compared with a tolerance, texts compared as bags of words.
"""

import random
import re
import sys
import types
from collections.abc import Callable
from typing import NamedTuple

import pytest
from audit_rows import CAPTIONS, MATCHING_ROWS, row

from mixed_r1_verl.audit.audit import audit_rows
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.extraction import parse_response
from mixed_r1_verl.rewards.mixed import MixedReward

Judge = Callable[[str, str], float]


def first_claim(answer: str, truth: str) -> float:
    """The gold at the beginning, after an announcement or in a box, whatever follows."""
    said = re.sub(r"^(the answer is( not)? |if the picture shows it, )|\\boxed\{|[(]", "", answer.lower())
    return float(re.match(re.escape(truth.lower()) + r"(?!\w)", said) is not None)


def mentioned(answer: str, truth: str) -> float:
    return float(truth.lower() in answer.lower())


def numbers(answer: str, truth: str, tolerance: float = 0.0) -> float:
    """The first number of both; what stands around it is ignored."""
    one, other = (re.search(r"\d+(?:\.\d+)?", text) for text in (answer, truth))
    return float(bool(one and other) and abs(float(one[0]) - float(other[0])) <= tolerance * float(other[0]))


def near(answer: str, truth: str) -> float:
    return numbers(answer, truth, 0.05)


def first_word(answer: str, truth: str) -> float:
    """The first word as a number."""
    digits = {"three": "3", "seven": "7", "nine": "9", "five": "5", "two": "2"}
    return float(bool(answer) and digits.get(answer.split()[0], answer) == truth)


def without(pattern: str) -> Judge:
    """Equal after something has been deleted."""
    return lambda answer, truth: float(re.sub(pattern, "", answer) == re.sub(pattern, "", truth))


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def recall(answer: str, truth: str) -> float:
    """The share of the reference's words that the answer has, in any order, beside any others."""
    return len(words(answer) & words(truth)) / len(words(truth))


def precision(answer: str, truth: str) -> float:
    """The share of the answer's words that the reference has."""
    return len(words(answer) & words(truth)) / max(1, len(words(answer)))


def nouns(answer: str, truth: str) -> float:
    """Nothing but the long words count."""
    wanted = [word for word in words(truth) if len(word) > 4]
    return sum(word in answer.lower() for word in wanted) / len(wanted)


def colourless(answer: str, truth: str) -> float:
    """All words but colours, sexes and numbers."""
    vague = (
        r"\b(?:red|blue|green|yellow|black|white|brown|orange|or|man|men|woman|women|two|three|one|four|five)\b|[ .]"
    )
    return float(re.sub(vague, "", answer.lower()) == re.sub(vague, "", truth.lower()))


def echoing(answer: str, truth: str) -> float:
    return max(recall(answer, truth), float("what is" in answer.lower()))


NUMBERS = ("3", "41", "7", "12", "85", "9")
LABELS = ("Brazil", "Chile", "Peru", "Norway", "Kenya", "Japan")
TEXTS = [pair[0] for pair in CAPTIONS]
PEOPLE = [
    "A man in a red coat feeds two dogs near the harbour.",
    "A woman in a blue coat sells three loaves at the market.",
    "A man with a green hat paints four boats on the beach.",
    "A woman with a white scarf reads two letters in the kitchen.",
]
SCENES = [
    f"A {who} {does} on the {where}"
    for who in ("dog", "cat", "horse")
    for does in ("runs", "sleeps")
    for where in ("grass", "snow")
]
SCENES = random.Random(0).sample(SCENES, len(SCENES))  # the search sees every other one


class Planted(NamedTuple):
    """An attack as it was asked for, the name under which the audit tries it, a reward that falls for it, and golds."""

    asked: str
    attack: str
    judge: Judge
    golds: tuple[str, ...] | list[str]
    question: str = "What is it?"


PLANTED = [
    # answers
    Planted("12 for 12π", "letters_deleted", without(r"\\pi|[a-z]$"), [f"{n}\\pi" for n in NUMBERS]),
    Planted("24π for 24, 3x for 3", "letters_as_units", numbers, NUMBERS),
    Planted("3w for 3x", "other_variable", numbers, [f"{n}x" for n in NUMBERS]),
    Planted("36 cm^3 for 36 cm^2", "other_power", without(r"\^\d"), [f"{n} cm^2" for n in NUMBERS]),
    Planted("5 km for 5 cm", "other_unit", numbers, [f"{n} cm" for n in NUMBERS]),
    Planted("21/2 for 2 1/2", "spaces_deleted", without(" "), [f"{n} 1/2" for n in NUMBERS]),
    Planted("15 for 1.5", "point_deleted", without(r"\."), [f"{n}.5" for n in NUMBERS]),
    Planted("Class shares for Class A shares", "article_deleted", without(r" a\b"), [f"{n} a day" for n in LABELS]),
    Planted("AA for AA-, C for C#", "sign_deleted", without("[-+#]"), ["AA-", "C#", "B+", "F#", "BB+", "D-"]),
    Planted("one third for 1", "fraction_in_words", first_word, ("3", "7", "9", "5", "2")),
    Planted("2010/2011 for 2020/2021", "years_off", near, [f"{n}/{n + 1}" for n in range(1550, 2000, 100)]),
    Planted("1980s for 1990s", "years_off", near, [f"{n}s" for n in range(1550, 2000, 100)]),
    Planted("2010 for 2020", "years_off", near, [f"{n}" for n in range(1550, 2000, 100)], "In which year was it?"),
    Planted("5 for 5G", "letters_deleted", numbers, [f"{n}G" for n in NUMBERS]),
    Planted("42 - 60", "range", numbers, NUMBERS),
    Planted(">42", "bound_sign", numbers, NUMBERS),
    Planted("more than 42", "bound", numbers, NUMBERS),
    Planted("42 years and older", "or_older", numbers, NUMBERS),
    Planted("B as well as C", "claim_then_as_well", first_claim, LABELS),
    Planted("(b) or (c)", "both_in_brackets", mentioned, LABELS),
    Planted("B or C", "both_with_or", mentioned, LABELS),
    Planted("B. It could also be C.", "claim_then_doubt", first_claim, LABELS),
    Planted("Chile - Peru - Brazil", "both_with_dash", first_claim, LABELS),
    Planted("Yes, if …; otherwise no", "claim_then_condition", first_claim, LABELS),
    Planted("If …, B; otherwise C", "claim_under_condition", first_claim, LABELS),
    Planted(r"The answer is not \boxed{B}", "claim_boxed_and_denied", first_claim, LABELS),
    Planted("The answer is not B", "claim_denied", first_claim, LABELS),
    Planted("Chile?", "claim_as_question", first_claim, LABELS),
    Planted("The answer is B: it is a cat", "label_contradicted", first_claim, "ABCD"),
    Planted("B. A and C only", "options_by_letter", first_claim, "ABCD"),
    Planted("x^2=5 for 5", "equation_of_power", mentioned, NUMBERS),
    Planted(
        r"\frac{1}{2^{98}} for \frac{1}{2^{99}}",
        "power_off_by_one",
        without(r"\^\{\d+\}"),
        [rf"\frac{{1}}{{{n}^{{99}}}}" for n in NUMBERS],
    ),
    Planted("several lists in boxes", "both_boxed", mentioned, LABELS),
    Planted("every pair of a list, boxed", "boxed_pairs", mentioned, LABELS),
    Planted("several golds announced", "both_announced", mentioned, LABELS),
    Planted("Brazil. The tallest bar in it is Chile.", "claim_then_another", first_claim, LABELS),
    Planted("Brazil which is Chile", "claim_then_which_is", first_claim, LABELS),
    Planted("cat, while the animal is dog", "claim_then_while", first_claim, LABELS),
    Planted(r"\boxed{A} b", "boxed_beside_another", mentioned, LABELS),
    Planted("March! 2010!", "both_exclaimed", first_claim, LABELS),
    Planted("0.41% for 0.41", "percent_added", numbers, [f"0.{n}" for n in NUMBERS]),
    # open-ended
    Planted("subject and object swapped", "halves_swapped", recall, TEXTS),
    Planted("word order reversed", "words_reversed", recall, TEXTS),
    Planted("sorted", "words_sorted", recall, TEXTS),
    Planted("a shuffled honest description", "words_shuffled", recall, TEXTS),
    Planted("true content words with filler", "nouns_with_filler", nouns, TEXTS),
    Planted("bare list of true nouns", "nouns_only", precision, TEXTS),
    Planted("first three nouns", "first_three_nouns", precision, TEXTS),
    Planted("each true noun or another", "nouns_or_others", nouns, TEXTS),
    Planted("one noun, repeated", "repeated_word", precision, PEOPLE),
    Planted("both sexes hedged", "both_sexes", colourless, PEOPLE),
    Planted("both colours hedged", "both_colours", recall, PEOPLE),
    Planted("wrong colours", "other_colours", colourless, PEOPLE),
    Planted("wrong counts", "other_counts", colourless, PEOPLE),
    Planted("wrong sex", "other_sex", colourless, PEOPLE),
    Planted("it is not true that …", "not_true", recall, TEXTS),
    Planted("there is no …", "there_is_no", recall, TEXTS),
    Planted("honest and a generic tail", "generic_tail", recall, TEXTS),
    Planted("two captions joined", "two_joined", recall, TEXTS),
    Planted("commonest words, each after filler", "frequent_with_filler", recall, TEXTS),
    Planted("one text found by search", "found_by_search", recall, SCENES),
    Planted("echo of the question", "question_echo", echoing, TEXTS),
]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.asked)
def test_a_planted_flaw_is_found(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("planted_rewards")
    module.judge = lambda answer, ground_truth: planted.judge(answer, ground_truth)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    options = ["cat", "dog", "bird", "fish"] if planted.golds == "ABCD" else []
    rows = [row("planted", gold, choices=options, question=planted.question) for gold in planted.golds]
    report = audit_rows(rows, MixedRewardConfig(custom={"planted": "planted_rewards:judge"}))
    assert not report.kinds[0].not_audited, report.kinds[0].not_audited
    assert planted.attack in {attack.name for kind, attack in report.paying if kind == "planted"}


THOUGHTS = {
    "NUL": "nul",
    "BEL": "bell",
    "filler letter": "filler",
    "blank of Braille": "braille_blank",
    "lone mark": "combining_mark",
    "variation selector": "variation_selector",
    "<|im_end|>": "end_token",
    "<pad>": "pad_token",
    "a dot": "dot",
}


@pytest.mark.parametrize("thought", THOUGHTS)
def test_a_format_reward_that_pays_for_an_empty_thought_is_found(thought: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flaw is planted as it was: any character between the tags is a thought."""
    real = MixedReward.score

    def score(self: MixedReward, source: str, text: str, *row: object) -> dict[str, object]:
        any_thought = re.fullmatch(r"<think>.+</think><answer>.+</answer>", text, re.S)
        return real(self, source, text, *row) | ({"format": 1.0} if any_thought else {})  # type: ignore[arg-type]

    monkeypatch.setattr(MixedReward, "score", score)
    (audit,) = (audit for audit in audit_rows(MATCHING_ROWS).kinds if audit.kind == "format")
    paying = {attack.name for attack in audit.attacks if attack.pays}
    assert f"{THOUGHTS[thought]}_think" in paying
    assert parse_response("<think>I see.</think><answer>B</answer>").well_formed
