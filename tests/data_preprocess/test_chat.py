"""Conversations of other frameworks, in every form that is documented there."""

import base64

import pytest
from mixed_r1_verl.data_preprocess.chat import Turn, exchanges, picture, pictures

from mixed_r1_verl.core.rows import RowError

USER, ASSISTANT = {"role": "user", "content": "What?"}, {"role": "assistant", "content": "A cat."}
PARTS = [
    {"type": "image_url", "value": "a.png"},
    {"type": "text", "value": "What? "},
    {"type": "image", "image": "b.png"},
    {"type": "image_url", "image_url": {"url": "c.png"}},
]
TAGGED = {"query": "<img>a.png</img><img> b.png </img>What?", "response": "x"}
LLAVA = {"conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "x"}]}


@pytest.mark.parametrize(
    ("record", "turns"),
    [
        ({"query": "What?", "response": "A cat.", "images": ["a.png"]}, [Turn("What?", "A cat.")]),
        (TAGGED, [Turn("What?", "x", ("a.png", "b.png"))]),
        ({"query": "What?", "response": "x", "history": []}, [Turn("What?", "x")]),
        ({"messages": [{"role": "system", "content": "s"}, USER, ASSISTANT]}, [Turn("What?", "A cat.")]),
        ({"messages": [USER, ASSISTANT, USER]}, [Turn("What?", "A cat."), Turn("What?", "")]),
        ({"messages": [USER]}, [Turn("What?", "")]),
        (LLAVA, [Turn("What?", "x", (), 1)]),
        ({"conversation": [{"human": "What?", "assistant": "x"}] * 2}, [Turn("What?", "x")] * 2),
        ({"texts": [{"user": "What?", "assistant": "x", "source": "s"}]}, [Turn("What?", "x")]),
        ({"instruction": "Do", "input": "this", "output": "x"}, [Turn("Do\nthis", "x")]),
        ({"messages": [{"role": "user", "content": PARTS}, ASSISTANT]}, "parts"),
        ({"message": '[{"role": "user", "content": "What?"}]'}, [Turn("What?", "")]),
        ({"messages": [{"role": "user", "content": [{"type": "image"}, *PARTS[1:2]]}]}, [Turn("What?", "", (), 1)]),
        ({"question": "What?", "answer": "x"}, []),
        ({"query": "What?", "label": "x"}, []),
        ({"instruction": "Describe.", "caption": "x"}, []),
    ],
)
def test_forms(record, turns):
    wanted = [Turn("What?", "A cat.", ("a.png", "b.png", "c.png"))] if turns == "parts" else turns
    assert exchanges(record) == wanted


@pytest.mark.parametrize(
    ("record", "field", "reason"),
    [
        ({"query": "What?", "response": "x", "history": [["a", "b"]]}, "history", "needs_history"),
        ({"instruction": "What?", "output": "x", "history": [["a", "b"]]}, "history", "needs_history"),
        ({"messages": []}, "messages", "missing"),
        ({"messages": "What?"}, "messages", "not_a_list"),
        ({"messages": "[" * 50_000}, "messages", "not_a_list"),
        ({"messages": ["What?"]}, "messages", "not_an_object"),
        ({"messages": [ASSISTANT]}, "messages", "missing"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages", "not_text"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages", "not_text"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages", "not_an_object"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}]}, "messages", "media"),
        ({"conversation": [{"human": "What?"}]}, "assistant", "missing"),
        ({"conversation": []}, "conversation", "missing"),
        ({"query": "What?", "response": ["x"]}, "answer", "not_text"),
    ],
)
def test_forms_that_are_refused(record, field, reason):
    with pytest.raises(RowError) as caught:
        exchanges(record)
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"image": "a.png"}, ("a.png",)),
        ({"images": [{"path": "a.png"}, {"bytes": b"x", "path": "b"}]}, ("a.png", b"x")),
        ({"image_1": "a", "image_2": {"bytes": b"y"}, "image_3": None}, ("a", b"y")),
        ({"image": {"url": "file:///a/b.png"}}, ("/a/b.png",)),
        ({"image": base64.b64encode(b"p" * 600).decode()}, (b"p" * 600,)),
        ({"image": "data:image/png;base64," + base64.b64encode(b"p").decode()}, (b"p",)),
        ({"question": "What?"}, ()),
    ],
)
def test_pictures(record, found):
    assert pictures(record) == found


@pytest.mark.parametrize(
    ("cell", "reason"), [({"bytes": b""}, "missing"), (5, "not_text"), ("a.mp4", "media"), ("ä" * 600, "not_text")]
)
def test_cells_that_are_no_pictures(cell, reason):
    with pytest.raises(RowError) as caught:
        picture(cell, "image")
    assert caught.value.reason == reason
