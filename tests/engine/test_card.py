"""The data card: self-contained, and rendered by a real browser where there is one."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from sound_rows import sound

from mixed_r1_verl.engine.build import build
from mixed_r1_verl.engine.card import _example
from mixed_r1_verl.engine.config import read_config
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward

SOURCE = {"converter": "llava", "name": "chats", "input": "chats", "split": "train"}


@pytest.fixture
def output(small_config: Callable[..., Path], tmp_path: Path) -> Path:
    """A build of one source."""
    build(read_config(small_config(sources=[SOURCE], quotas={"rewards": {"matching": 500}}, evaluation=[])))
    return tmp_path / "set"


def test_the_card_says_all_and_needs_nothing_else(output: Path) -> None:
    html = (output / "card.html").read_text(encoding="utf-8")
    card = json.loads((output / "card.json").read_text(encoding="utf-8"))
    assert not re.search(r"<script|<link|@import|src=\"(?!data:)", html)
    for value in (*card["files"], card["files"]["train.parquet"]["sha256"], card["sources"][0]["input_hash"]):
        assert value in html
    (note,) = card["notes"]
    assert note.startswith("reward matching: 500 rows asked for") and note in html
    assert html.count('<img src="data:image/jpeg;base64,') == 2
    assert card["sources"][0]["licence"] in html
    rows = card["rows"]
    assert rows["read"] == rows["train"] + rows["validation"] + rows["rejected"]
    assert not {"output", "work", "raw", "ray"} & set(card["configuration"])

    # In a browser: no wider than the window, and not blank.
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here: the card was not rendered")
    picture = output / "card.png"
    for width in (1280, 390):
        subprocess.run(
            [
                *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--window-size={width},900", f"--screenshot={picture}", (output / "card.html").as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        with Image.open(picture) as image:
            assert len(image.convert("RGB").getcolors(1 << 24)) > 50


def test_a_row_of_a_custom_kind_is_shown() -> None:
    """Whatever its ground truth looks like; only a kind that knows of boxes has any drawn."""
    reward = MixedReward(MixedRewardConfig(custom={"mine": "hostile_rewards:obey"}))
    for truth in ("[", "[[1, 2, 3, 4]]", '{"a": 1}', "[a] b"):
        shown = _example(sound("1", "mine", truth, kind=reward.kinds["mine"], choices=("cat", "dog")), reward)
        assert (shown["truth"], shown["choices"]) == (truth, ["A. cat", "B. dog"])
