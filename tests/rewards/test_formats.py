"""Formats of responses: honest and hostile ones of each style, and the block that names them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.extraction import parse_response
from mixed_r1_verl.rewards.formats import ResponseFormat
from mixed_r1_verl.rewards.mixed import MixedReward

OWN = ResponseFormat("custom", ("<reason>", "</reason>"), ("[[", "]]"), "Use <reason> and [[ ]].")
REST = ResponseFormat("custom", ("[THINK]", "[/THINK]"), (), "Think in [THINK].")
FORMATS = {
    **{style: ResponseFormat(style) for style in ("think_answer", "boxed", "native_think", "answer_only")},
    "own": OWN,
    "rest": REST,
}


@given(
    st.sampled_from(sorted(FORMATS)),
    st.text(alphabet="ab {}1", min_size=1).filter(lambda text: text.strip("{} ")),
    st.text(alphabet="ab1. ", min_size=1).filter(lambda text: text.strip(". ")),
)
def test_what_a_format_writes_it_reads(style: str, answer: str, think: str) -> None:
    format = FORMATS[style]
    if style == "boxed":
        answer = answer.replace("{", "").replace("}", "")
    parsed = parse_response(format.reply(answer, think), format)
    assert (parsed.well_formed, parsed.answer) == (True, answer.strip())
    assert parsed.think == (think.strip() if format.think_tags else "")


# style, response, answer, why it is not well formed
TABLE = [
    ("boxed", r"<think>a</think>\boxed{B}", "B", ""),
    ("boxed", r"<think>a</think>The answer is \boxed{\frac{1}{2}}.<|im_end|>", r"\frac{1}{2}", ""),
    ("boxed", r"<think>So \boxed{3}?</think>\boxed {4}", "4", ""),
    ("boxed", r"<think>a</think>\boxed{ \{1\} }", r"\{1\}", ""),
    ("boxed", r"<think>a</think>\boxed{1} or \boxed{2}", None, "several_answers"),
    ("boxed", r"<think>a</think>\boxed{2 \boxed{1}}", None, "several_answers"),
    ("boxed", r"<think>a</think>\boxed{1", None, "answer_not_closed"),
    ("boxed", r"<think>a</think>\boxed{}", "", "empty_answer"),
    ("boxed", r"<think>a \boxed{1}</think>", None, "no_answer"),
    ("boxed", r"<think>a \boxed{1}", None, "no_answer"),
    ("boxed", r"\boxed{1}", "1", "no_think"),
    ("boxed", r"\boxed{1}<think>a</think>", "1", "answer_before_think"),
    ("boxed", r"Well. <think>a</think>\boxed{1}", "1", "text_outside_tags"),
    ("boxed", r"<think>a</think><answer>1</answer>", None, "no_answer"),
    ("boxed", r"<think>a</think><answer>\boxed{1}</answer>", "1", "text_outside_tags"),
    ("native_think", "a</think>B", "B", ""),
    ("native_think", "<think>a</think>\n\nB", "B", ""),
    ("native_think", "a</think>It is <|begin_of_box|>B<|end_of_box|>.", "B", ""),
    ("native_think", "a</think><|begin_of_box|>B<|end_of_box|> or <|begin_of_box|>C<|end_of_box|>", None, ""),
    ("native_think", "B", None, "no_answer"),
    ("native_think", "a</think>", "", "empty_answer"),
    ("native_think", "</think>B", "B", "empty_think"),
    ("native_think", "a</think>b</think>B", "B", "several_thinks"),
    ("native_think", "a</think>b<think>B", None, "no_answer"),
    ("native_think", "a</think><answer>B</answer>", "<answer>B</answer>", "smuggled_tag"),
    ("answer_only", "B", "B", ""),
    ("answer_only", "", "", "empty_answer"),
    ("answer_only", "<think>a</think>B", "<think>a</think>B", "smuggled_tag"),
    ("own", "<reason>a</reason> [[B]]", "B", ""),
    ("own", "<reason>a</reason>[[B]][[C]]", None, "several_answers"),
    ("own", "<reason>[[C]]</reason>[[B]]", "B", "answer_in_think"),
    ("own", "<reason>a</reason>B", None, "no_answer"),
    ("own", "<reason>a</reason>[[B]] so", "B", "text_outside_tags"),
    ("own", "<reason>a <REASON></reason>[[B]]", "B", "smuggled_tag"),
    ("rest", "[THINK]a[/THINK]B", "B", ""),
    ("rest", "[THINK]aB", None, "no_answer"),
    ("rest", "aB", None, "no_answer"),
]


@pytest.mark.parametrize(("style", "response", "answer", "reason"), TABLE)
def test_responses(style: str, response: str, answer: str | None, reason: str) -> None:
    parsed = parse_response(response, FORMATS[style])
    if answer is None and not reason:  # both boxes: a text that commits itself to nothing, for the kind to refuse
        assert parsed.answer == response.partition("</think>")[2]
        return
    assert (parsed.answer, parsed.reason, parsed.well_formed) == (answer, reason, not reason)


@pytest.mark.parametrize("style", sorted(FORMATS))
@pytest.mark.parametrize("hostile", ["\\boxed{", "{", "</think>", "[[", "<reason>", "<|begin_of_box|>", "[THINK]"])
def test_a_hostile_megabyte_is_read_in_one_pass(style: str, hostile: str) -> None:
    text = hostile * (1_000_000 // len(hostile))
    for response in (text, FORMATS[style].reply(text, "a"), FORMATS[style].reply("B", text)):
        parse_response(response, FORMATS[style])


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"style": "boxes"}, "did you mean 'boxed'"),
        ({"styel": "boxed"}, "did you mean 'format.style'|did you mean 'style'"),
        ({"think": ["<a>", "</a>"]}, "format.think is read with format.style=custom"),
        ({"style": "custom"}, "needs format.instruction or format.template"),
        ({"style": "custom", "think": ["<a>"], "instruction": "x"}, "format.think must be two tags"),
        ({"style": "custom", "answer": ["a b", "</a>"], "instruction": "x"}, "format.answer must be two tags"),
        ({"style": "custom", "answer": ["[[", "[["], "instruction": "x"}, "format.answer must be two tags"),
        (
            {"style": "custom", "think": ["<a>", "</a>"], "answer": ["<a>", "</b>"], "instruction": "x"},
            "must be different tags",
        ),
    ],
)
def test_a_block_that_is_not_sound_is_refused(block: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixedRewardConfig.from_mapping({"format": block})


@pytest.mark.parametrize("style", ["think_answer", "boxed", "native_think", "own", "rest"])
def test_only_its_own_format_pays(style: str) -> None:
    """For every format with tags the reply of every other; what follows native thinking may well be a box."""
    reward = MixedReward(MixedRewardConfig(format=FORMATS[style]))
    for other, format in FORMATS.items():
        result = reward.score(
            "demo", format.reply("B", "It barks."), "B", {"reward": "matching", "choices": ["a", "b"]}
        )
        assert (result["format"] == 1.0) == (other == style or (style, other) == ("native_think", "boxed")), other
