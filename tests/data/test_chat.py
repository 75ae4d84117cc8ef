"""Chat records of other frameworks, in every form that is documented there."""

import pytest

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.chat import Turn, example_of_turn, first_turn, infer_reward, read_boxes, split_choices

USER, ASSISTANT = {"role": "user", "content": "What?"}, {"role": "assistant", "content": "A cat."}


@pytest.mark.parametrize(
    ("record", "turn"),
    [
        ({"query": "What?", "response": "A cat.", "images": ["a.png"]}, Turn("What?", "A cat.", ("a.png",))),
        ({"query": "<img>a.png</img><img> b.png </img>What?", "response": "x"}, Turn("What?", "x", ("a.png", "b.png"))),
        ({"query": "What?", "response": "x", "history": []}, Turn("What?", "x", ())),
        ({"messages": [{"role": "system", "content": "s"}, USER, ASSISTANT]}, Turn("What?", "A cat.", ())),
        ({"messages": [USER, ASSISTANT, USER, {"role": "assistant", "content": "no"}]}, Turn("What?", "A cat.", ())),
        ({"messages": [USER]}, Turn("What?", "", ())),
        (
            {
                "image": "a.png",
                "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "x"}],
            },
            Turn("What?", "x", ("a.png",)),
        ),
        (
            {"conversations": [{"from": "user", "value": "What?"}, {"from": "assistant", "value": "x"}]},
            Turn("What?", "x", ()),
        ),
        (
            {"conversation": [{"human": "What?", "assistant": "x"}, {"human": "q", "assistant": "a"}]},
            Turn("What?", "x", ()),
        ),
        ({"instruction": "Do", "input": "this", "output": "x"}, Turn("Do\nthis", "x", ())),
        ({"instruction": "Do", "output": "x", "image": ["a", "b"]}, Turn("Do", "x", ("a", "b"))),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "value": "a.png"},
                            {"type": "text", "value": "What? "},
                            {"type": "image", "image": "b.png"},
                            {"type": "image_url", "image_url": {"url": "c.png"}},
                        ],
                    },
                    {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
                ]
            },
            Turn("What?", "x", ("a.png", "b.png", "c.png")),
        ),
    ],
    ids=[
        "swift",
        "swift_img_tags",
        "swift_empty_history",
        "system",
        "several_turns",
        "no_answer",
        "llava",
        "user_assistant",
        "sharegpt",
        "alpaca",
        "alpaca_images",
        "typed_parts",
    ],
)
def test_forms(record, turn):
    assert first_turn(record) == turn


@pytest.mark.parametrize(
    ("record", "field", "reason"),
    [
        ({"text": "x"}, "record", "unknown_form"),
        ({"response": "x"}, "query", "missing"),
        ({"query": "What?", "response": "x", "history": [["a", "b"]]}, "history", "needs_history"),
        ({"instruction": "What?", "output": "x", "history": [["a", "b"]]}, "history", "needs_history"),
        ({"messages": []}, "messages", "missing"),
        ({"messages": "What?"}, "messages", "not_a_list"),
        ({"messages": ["What?"]}, "messages", "not_an_object"),
        ({"messages": [ASSISTANT]}, "messages", "missing"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages", "not_text"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages", "not_text"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages", "not_an_object"),
        ({"conversation": [{"human": "What?"}]}, "assistant", "missing"),
        ({"conversation": []}, "conversation", "missing"),
        ({"query": "What?", "response": ["x"]}, "answer", "not_text"),
        ({"query": "What?", "response": "x", "images": [{"bytes": "x"}]}, "images", "not_text"),
    ],
)
def test_forms_that_are_refused(record, field, reason):
    with pytest.raises(RowError) as caught:
        first_turn(record)
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Yes", "matching"),
        ("false", "matching"),
        ("6", "matching"),
        ("-1,234.5", "matching"),
        ("41%", "matching"),
        ("Dark blue", "matching"),
        ("Unexpected Task Result", "matching"),
        ("65°", "math"),
        ("\\frac{4}{3}", "math"),
        ("16πcm²", "math"),
        ("3/4", "math"),
        ("4.5cm", "math"),
        ("[[1, 2, 3, 4]]", "iou"),
        ("[1, 2, 3.5, 4]", "iou"),
        ("[1, 2]", "matching"),
        ("A cat sits.", "open_ended"),
        ("The picture shows a dog that runs over a lawn", "open_ended"),
        ("Because he's sliding on his knees to celebrate.", "open_ended"),
        ("他们正在足球场上庆祝。", "open_ended"),
    ],
)
def test_reward_that_fits(answer, kind):
    assert infer_reward(answer) == kind


@pytest.mark.parametrize(
    "text", ["", "[", "[[1,2,3]]", "[[1,2,3,true]]", "[" * 30_000, '{"a": 1}', "[[1,2,3,4], 5]", "[]"]
)
def test_texts_that_are_no_boxes(text):
    assert read_boxes(text) == ()


@pytest.mark.parametrize(
    ("question", "stem", "choices"),
    [
        ("Which?\nA. cat\nB. dog", "Which?", ("cat", "dog")),
        ("Which?\n\n(A) cat\n\n(B) dog\n", "Which?", ("cat", "dog")),
        ("Which?\n\nA. A\nB. B\nC. C", "Which?", ("A", "B", "C")),
        ("Which?\nA.\nB.", "Which?", ("A", "B")),
        ("Which?\nA. cat\nC. dog", None, ()),
        ("Which?\nB. cat\nC. dog", None, ()),
        ("Which?\nA. only", None, ()),
        ("A. cat\nB. dog", None, ()),
        ("A. Smith paints. What?", None, ()),
        ("Which?\nA. cat\nB. dog\nAnswer with the letter.", None, ()),
    ],
)
def test_options_in_the_question(question, stem, choices):
    assert split_choices(question) == (question if stem is None else stem, choices)


@pytest.mark.parametrize(("answer", "letter"), [("B", "B"), ("(B)", "B"), ("B.", "B"), ("dog", "B"), ("Dog", "B")])
def test_answers_to_options_become_letters(answer, letter):
    example = example_of_turn("1", Turn("Which?\nA. cat\nB. dog", answer, ()))
    assert (example.answer, example.choices, example.reward) == (letter, ("cat", "dog"), "matching")


@pytest.mark.parametrize(
    ("turn", "field", "reason"),
    [
        (Turn("Which?\nA. cat\nB. dog", "cow", ()), "answer", "answer_not_in_choices"),
        (Turn("Which?", "", ()), "answer", "missing"),
        (Turn("", "cow", ("a.png",)), "question", "empty"),
    ],
)
def test_turns_that_are_refused(turn, field, reason):
    with pytest.raises(RowError) as caught:
        example_of_turn("1", turn)
    assert (caught.value.field, caught.value.reason) == (field, reason)
