"""Extraction: what a response says and whether it kept the format, for honest, broken and hostile responses."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.rewards.extraction import END_TOKENS, parse_response, strip_end_tokens

WELL_FORMED = [
    ("<think>a</think><answer>b</answer>", "b"),
    ("<think>a</think>\n<answer>b</answer>", "b"),
    ("  <think>a</think>\t\n <answer>b</answer>\n\n", "b"),
    ("<think>\nIt is\nlong.\n</think>\n<answer>\n3\n</answer>", "3"),
    ("<think>a < b and c > d</think><answer>x < 3</answer>", "x < 3"),
    ("<think>a <b>bold</b> tag</think><answer>b</answer>", "b"),
    ("<think>thinking, answering</think><answer>the answer</answer>", "the answer"),
    ("<think>想一想</think><answer>是</answer>", "是"),
    ("<think>a</think><answer>b</answer><|im_end|>", "b"),
    ("<think>a</think><answer>b</answer> <|im_end|>\n<|endoftext|>", "b"),
    ("<think>a</think><answer>b</answer></s>", "b"),
]


@pytest.mark.parametrize(("response", "answer"), WELL_FORMED)
def test_well_formed(response: str, answer: str) -> None:
    parsed = parse_response(response)
    assert parsed.well_formed
    assert parsed.answer == answer
    assert parsed.think
    assert parsed.reason == ""


# response, answer, reason
NOT_WELL_FORMED = [
    ("", None, "no_answer"),
    ("4", None, "no_answer"),
    ("<answer>b</answer>", "b", "no_think"),
    ("<think>a</think>b", None, "no_answer"),
    ("<think>a</think>", None, "no_answer"),
    ("<think></think><answer>b</answer>", "b", "empty_think"),
    ("<think> \n</think><answer>b</answer>", "b", "empty_think"),
    ("<think>\u200b</think><answer>b</answer>", "b", "empty_think"),
    *(
        (f"<think>{thought}</think><answer>b</answer>", "b", "empty_think")
        for thought in (
            *("\0", "\a", "\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\u0301", "\ufe0f", "\U000e0100", "\u034f"),
            *("<|im_end|>", "<pad>", "<|endoftext|> <pad>", "</s>", ".", "...", " - ", "\u00ad", "\x1b", "\u2028"),
        )
    ),
    ("<think>a</think><answer></answer>", "", "empty_answer"),
    ("<think>a</think><answer>  </answer>", "", "empty_answer"),
    ("<think>a</think><answer>\u200b\ufeff</answer>", "\u200b\ufeff", "empty_answer"),
    ("<think>a</think> so <answer>b</answer>", "b", "text_outside_tags"),
    ("Sure! <think>a</think><answer>b</answer>", "b", "text_outside_tags"),
    ("<think>a</think><answer>b</answer> Done.", "b", "text_outside_tags"),
    ("<answer>b</answer><think>a</think>", "b", "answer_before_think"),
    ("<think>a</think><think>a</think><answer>b</answer>", "b", "several_thinks"),
    ("<think>a</think><answer>b</answer><think>c</think>", "b", "several_thinks"),
    ("a</think><answer>b</answer>", "b", "no_think"),
    ("<think>a</think><answer>3</answer><answer>4</answer>", None, "several_answers"),
    ("<think>a</think><answer>3</answer><answer>3</answer>", None, "several_answers"),
    ("<think>a</think><answer>3", None, "answer_not_closed"),
    ("<think>a</think>3</answer>", None, "no_answer"),
    ("<think>a</think><answer>3</answer></answer>", None, "stray_answer_tag"),
    ("<Think>a</Think><answer>3</answer>", "3", "no_think"),
    ("<think>a</think><Answer>3</Answer>", None, "no_answer"),
    ("<think>a</think><answer >3</answer>", None, "no_answer"),
    ("＜think＞a＜/think＞＜answer＞3＜/answer＞", None, "no_answer"),
]


@pytest.mark.parametrize(("response", "answer", "reason"), NOT_WELL_FORMED)
def test_not_well_formed(response: str, answer: str | None, reason: str) -> None:
    parsed = parse_response(response)
    assert not parsed.well_formed
    assert parsed.answer == answer
    assert parsed.reason == reason


# An answer block within thinking is not the answer; nested and smuggled tags never are well formed.
SMUGGLING = [
    ("<think>It is <answer>3</answer></think>", None),
    ("<think>It is <answer>3</answer></think><answer>4</answer>", "4"),
    ("<think>I must use <answer> tags</think><answer>4</answer>", "4"),
    ("<think>unfinished <answer>3</answer>", None),
    ("<answer>3</answer> still thinking</think>", None),
    ("prefilled <answer>3</answer></think><answer>4</answer>", "4"),
    ("<think>a</think><answer><answer>3</answer></answer>", None),
    ("<think>a</think><answer>3</answer><answer>", None),
    ("<think>a<think>b</think></think><answer>3</answer>", "3"),
    ("<think><think></think><answer>3</answer></think>", None),
    ("<think>a</think><answer><think>b</think>3</answer>", None),
    ("<think>a</think><answer>3</think></answer>", None),
    ("<think>a</think><answer>3 <ANSWER>4</ANSWER></answer>", "3 <ANSWER>4</ANSWER>"),
    ("<think>a </ think ></think><answer>3</answer>", "3"),
    ("<think>a</think><answer>3< / answer></answer>", "3< / answer>"),
    ("<answer><think>a</think>3</answer>", None),
]


@pytest.mark.parametrize(("response", "answer"), SMUGGLING)
def test_smuggling(response: str, answer: str | None) -> None:
    parsed = parse_response(response)
    assert not parsed.well_formed
    assert parsed.answer == answer


def test_only_trailing_special_tokens_are_removed() -> None:
    assert strip_end_tokens("<|im_end|>B<|im_end|><|im_end|>") == "<|im_end|>B"
    for token in END_TOKENS:
        assert strip_end_tokens(f"B {token}\n") == "B"


@given(st.text(alphabet=st.sampled_from(list("<>/thinkaswer \n\u200bB")), max_size=80))
def test_never_raises_on_text_of_tag_letters(text: str) -> None:
    parse_response(text)


_PIECES = st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "x", " ", "\n", "<|im_end|>", "<Answer>"])


@settings(max_examples=500)
@given(st.lists(_PIECES, max_size=12))
def test_well_formed_is_exactly_the_contract(pieces: list[str]) -> None:
    """Against a slow and literal reading of the contract."""
    text = "".join(pieces)
    parsed = parse_response(text)
    core = text.strip()
    while core.endswith("<|im_end|>"):
        core = core.removesuffix("<|im_end|>").strip()
    counts = [core.count(tag) for tag in ("<think>", "</think>", "<answer>", "</answer>")]
    literal = False
    if counts == [1, 1, 1, 1] and "<Answer>" not in core:
        before, _, rest = core.partition("<think>")
        think, _, rest = rest.partition("</think>")
        between, _, rest = rest.partition("<answer>")
        answer, _, after = rest.partition("</answer>")
        tags = any(tag in part for part in (think, between, answer, before, after) for tag in ("think>", "answer>"))
        literal = not (before.strip() or between.strip() or after.strip() or tags)
        literal = literal and bool(think.strip()) and bool(answer.strip())
    assert parsed.well_formed == literal
    if parsed.well_formed:
        assert parsed.answer == answer.strip()
    assert parsed.answer is None or parsed.answer == parsed.answer.strip()


HOSTILE = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "<answer></think>",
    "<think></think>",
    "<answer></answer>",
    "<",
    "< ",
    "</",
    "<|im_end|>",
    "<|im_end|> ",
    " ",
    "\n",
    "\u200b",
    "a",
    "<think><answer>",
]


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_megabyte_takes_less_than_a_second(shape: str) -> None:
    text = (shape * (1_000_000 // len(shape) + 1))[:1_000_000]
    for response in (text, f"<think>{text}</think><answer>{text}</answer>"):
        start = time.thread_time()
        parse_response(response)
        assert time.thread_time() - start < 1.0


@pytest.mark.parametrize("shape", ["<think>", "<answer>", "<", " ", "<|im_end|>", "a"])
def test_time_grows_linearly(shape: str) -> None:
    """From 10 kB to 10 MB: a thousand times the text may take at most 4,000 times the time, plus 5 ms of noise."""

    def seconds(size: int) -> float:
        text = "<think>" + (shape * (size // len(shape) + 1))[:size] + "</think><answer>1</answer>"
        best = float("inf")
        for _ in range(5 if size < 1_000_000 else 1):
            start = time.thread_time()
            parse_response(text)
            best = min(best, time.thread_time() - start)
        return best

    assert seconds(10_000_000) < 4_000 * seconds(10_000) + 0.005


def test_an_empty_list_is_an_answer() -> None:
    for answer in ("[]", "[ ]"):
        assert parse_response(f"<think>No dog.</think><answer>{answer}</answer>").well_formed
    assert parse_response("<think>[]</think><answer>B</answer>").reason == "empty_think"
