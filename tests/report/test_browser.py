"""The page in a real Chromium: it shows what it holds, asks nobody for anything, and does not stall."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Page, needs_chromium, write_report
from gamed_run import make_gamed_run
from report_run import HOSTILE, write_lines
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = needs_chromium
MANY = 50_000
ROW = 60  # pixels of a row of the list, and a little


@pytest.fixture
def page(browser: Page, report_file: Path) -> Iterator[Page]:
    browser.size(1300, 800)
    browser.open(report_file)
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == []


def test_the_verdict_stands_on_top(page: Page) -> None:
    (headline,) = page.texts("#verdict summary b")
    assert headline.startswith(("every reward", "0 of", "1 of", "2 of", "3 of", "4 of"))
    found = page.texts("#verdict li span")
    assert {text.split()[0].strip(":") for text in found} >= {"chart", "iou", "matching", "open_ended"}
    assert page.run("return document.querySelector('#verdict').getBoundingClientRect().bottom < 400")


def test_a_run_that_games_its_reward_says_so_on_top(browser: Page, tmp_path: Path) -> None:
    browser.size(1300, 800)
    browser.open(write_report(tmp_path / "gamed.html", make_gamed_run(tmp_path), "--trust-config"))
    assert browser.texts("#verdict summary b") == ["3 of 4 rewards learn; 1 alarm"]
    first = browser.texts("#verdict li span")[0]
    assert first.startswith("open_ended may be gamed: its score rises ("), first


def test_right_and_wrong_are_told_apart_in_the_list(page: Page) -> None:
    page.keys("2")
    before = "getComputedStyle(row.querySelector(arguments[0]), '::before').content"
    for outcome, mark in (("right (acc 1)", "✓"), ("wrong (acc 0)", "✗")):
        page.choose("outcome", outcome)
        marks = page.run(f"return [...document.querySelectorAll('.row')].map((row) => {before})", ".two .grow")
        assert marks and {text.strip('" ') for text in marks} == {mark}
        page.choose("outcome", "any")


def test_curves_are_drawn_for_every_reward(page: Page) -> None:
    assert page.texts("#charts h2") == ["Validation", "Training"]
    assert page.texts("#chart-legend .key") == ["chart", "iou", "matching", "open_ended"]
    page.wait("document.querySelectorAll('.plot svg .line').length >= 40")
    page.run("document.querySelector('.plot').focus()")
    page.keys(Keys.ARROW_RIGHT)
    assert page.texts(".tip:not([hidden]) strong") == ["step 0"]
    page.run("[...document.querySelectorAll('#by button')].at(-1).click()")
    assert page.texts("#chart-legend .key")[0] == "source_chart"


@pytest.mark.parametrize("dark", [False, True])
def test_a_screenshot_shows_the_line_of_every_reward(browser: Page, report_file: Path, dark: bool) -> None:
    browser.size(1300, 2400, dark)
    browser.open(report_file)
    browser.wait("document.querySelectorAll('.plot svg .line').length >= 40")
    pixels = browser.seen(browser.screenshot("#charts"), ".plot svg .line")
    assert len(pixels) == 4 and min(pixels.values()) > 200, pixels


def test_small_numbers_are_told_apart_on_an_axis(browser: Page, tmp_path: Path) -> None:
    for step in range(1, 5):
        record = {"input": "q", "output": "a", "gts": "1", "score": step * 1e-6, "reward_kind": "iou", "step": step}
        write_lines(tmp_path / "run" / "rollouts" / f"{step}.jsonl", [record])
    browser.open(write_report(tmp_path / "report.html", tmp_path / "run"))
    browser.wait("document.querySelector('.plot svg .tick')")
    labels = browser.texts(".plot:has(.line) .tick[text-anchor=end]")[:4]
    assert labels == ["1e-6", "2e-6", "3e-6", "4e-6"]


def test_filters_and_sorting(page: Page) -> None:
    page.keys("2")
    status = "document.getElementById('status').textContent"
    page.wait(f"{status} === '30 of 30 rollouts'")
    page.choose("kind", "iou")
    page.wait(f"{status}.startsWith('6 of')")
    page.choose("split", "validation")
    page.wait(f"{status}.startsWith('2 of')")
    page.find("#reset").click()
    page.choose("source", "source_chart")
    page.type("filter-from", "2")
    page.wait(f"{status}.startsWith('3 of')")
    page.find("#reset").click()
    page.choose("outcome", "malformed")
    page.wait(f"{status}.startsWith('2 of')")
    page.find("#reset").click()
    page.type("filter-most", "0.5")
    page.choose("sort", "score")
    page.find("#direction").click()
    scores = [float(text) for text in page.texts(".row .number")]
    assert scores == sorted(scores, reverse=True) and max(scores) <= 0.5 and len(set(scores)) > 1


def test_the_keyboard_is_enough(page: Page) -> None:
    page.keys("2")
    page.keys("j", "j", "j")
    assert page.run("return document.querySelector('.row[aria-selected=true]').getAttribute('aria-posinset')") == "4"
    active = page.run("return document.getElementById('list').getAttribute('aria-activedescendant')")
    assert page.run("return document.getElementById(arguments[0]).getAttribute('aria-selected')", active) == "true"
    page.keys("k")
    page.keys("/")
    assert page.run("return document.activeElement.id") == "search"
    page.keys("blue moon")
    page.wait("document.getElementById('status').textContent.startsWith('2 of')")
    page.keys(Keys.ESCAPE)
    page.wait("document.getElementById('status').textContent.startsWith('30 of')")
    assert page.run("return document.activeElement.id") == "list"
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keys(Keys.END)
    assert page.run("return document.querySelector('.row[aria-selected=true]').getAttribute('aria-posinset')") == "30"


def test_a_rollout_shows_picture_boxes_and_components(page: Page) -> None:
    page.keys("2")
    page.choose("kind", "iou")
    page.keys("j", "j")  # of each group the first response is right, the second is not
    page.wait("document.querySelector('.canvas img').naturalWidth === 64")
    boxes = [
        [
            float(page.run("return arguments[0].getAttribute(arguments[1])", box, side))
            for side in ("x", "y", "width", "height")
        ]
        for box in page.driver.find_elements(By.CSS_SELECTOR, ".canvas .box")
    ]
    assert boxes == [[1250, 2000, 5000, 4000], [1250, 2000, 5000, 2000]]
    pixels = page.seen(page.screenshot(".canvas"), ".canvas .box")
    assert len(pixels) == 2 and min(pixels.values()) > 200, pixels
    assert page.texts("#detail .score > span:first-child") == ["score", "acc", "format", "error"]
    assert page.texts("#detail .response .think") == ["<think>", "I look.", "</think>"]
    assert page.texts("#detail .response .answer") == ["<answer>", "[[8,16,40,32]]", "</answer>"]
    assert "[[8,16,40,48]]" in page.find("#detail .prompt .gold").text
    assert page.texts("#detail > h3") == ["Group of 2", "Same prompt at other steps"]


def test_a_hostile_response_is_text(page: Page) -> None:
    page.keys("2")
    page.type("search", "onerror")
    page.wait("document.getElementById('status').textContent.startsWith('1 of')")
    page.keys("j")
    shown = page.texts("#detail .response")[0]
    assert shown == HOSTILE.replace("\u2028", "U+2028").replace("\u202e", "U+202E").replace("\ud800", "U+D800")
    assert page.texts("#detail .response .unseen") == ["U+2028", "U+202E", "U+D800"]
    assert page.run("return document.querySelectorAll('#detail .response img').length") == 0
    assert "owned" not in page.driver.title


def test_an_answer_within_unfinished_thinking_is_not_marked_as_one(page: Page) -> None:
    page.keys("2")
    page.type("search", "never")
    page.wait("document.getElementById('status').textContent.startsWith('1 of')")
    page.keys("j")
    assert page.texts("#detail .response .think") == ["<think>", "Never ", "A red square."]
    assert page.texts("#detail .response .answer") == ["<answer>", "</answer>"]


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone(browser: Page, report_file: Path, dark: bool) -> None:
    browser.size(390, 844, dark)
    browser.open(report_file)
    for view in ("1", "3", "2"):
        browser.keys(view)
        assert browser.run("return document.documentElement.scrollWidth") <= 390
    browser.find("#more").click()
    assert browser.find("#filter-kind").is_displayed()
    browser.find("#more").click()
    browser.run("document.getElementById('list').scrollIntoView()")
    first = browser.run("return document.querySelector('.row').getBoundingClientRect().top")
    webdriver.ActionChains(browser.driver).move_by_offset(100, first + 20).click().perform()
    assert browser.find("#detail").is_displayed()
    assert browser.run("return document.getElementById('detail').scrollWidth") <= 390
    browser.keys(Keys.ESCAPE)
    assert not browser.find("#detail").is_displayed()
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(part) for part in background[4:-1].split(",")) / 3
    assert (lightness < 60) is dark
    browser.run("document.getElementById('theme').click()")  # light, whatever the system says
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)"
    assert browser.complaints() == []


def test_two_runs_side_by_side(browser: Page, run_folder: Path, tmp_path: Path) -> None:
    files = [run_folder / "validation" / f"{step}.jsonl" for step in (0, 2)]
    path = write_report(tmp_path / "two.html", files[0], "--compare", files[1], "--data", run_folder / "val.parquet")
    browser.size(1300, 800)
    browser.open(path)
    assert browser.find("#title").text == "validation/0 and validation/2"
    assert browser.texts("#chart-legend span.key") == ["validation/0", "validation/2"]
    browser.keys("2")
    browser.choose("kind", "iou")
    browser.keys("j")
    assert browser.texts(".cards.two .card h3") == ["validation/0validation, step 0", "validation/2validation, step 2"]
    assert browser.texts(".boxkey") == ["gold", "validation/0", "validation/2"]
    assert browser.complaints() == []


def test_long_curves_are_smoothed(browser: Page, tmp_path: Path) -> None:
    """The score is 0 and 1 in turn: the raw line swings over the whole chart, the smoothed one stays in its middle."""
    for step in range(1, 61):
        record = {"input": "q", "output": "a", "gts": "1", "score": step % 2, "reward_kind": "iou", "step": step}
        write_lines(tmp_path / "run" / "rollouts" / f"{step}.jsonl", [record])
    browser.open(write_report(tmp_path / "report.html", tmp_path / "run"))
    browser.wait("document.querySelector('.plot svg .line.raw')")
    spans = browser.run(
        "const heights = (line) => [...line.points].map((point) => point.y);"
        "const span = (line) => Math.max(...heights(line)) - Math.min(...heights(line));"
        "const plot = document.querySelector('.line.raw').ownerSVGElement;"
        "return ['.line.raw', '.line:not(.raw)'].map((selector) => span(plot.querySelector(selector)))"
    )
    assert spans[0] > 100
    assert spans[1] < 0.35 * spans[0]


def test_fifty_thousand_rollouts_do_not_stall(browser: Page, tmp_path: Path) -> None:
    draw = random.Random(0)
    words = [
        "the",
        "red",
        "blue",
        "square",
        "circle",
        "is",
        "left",
        "of",
        "near",
        "a",
        "chart",
        "bar",
        "value",
        "shows",
    ]
    for step in range(1, 11):
        lines = []
        for number in range(MANY // 10):
            text = " ".join(draw.choices(words, k=40))
            lines.append(
                {
                    "input": f"question {number % 500}",
                    "output": f"<think>{text}</think><answer>{number}</answer>",
                    "gts": "1",
                    "score": round(draw.random(), 2),
                    "acc": 1.0,
                    "reward_kind": draw.choice(("iou", "chart")),
                    "step": step,
                    "uid": f"{step}-{number // 8}_{number % 8}_0",
                }
            )
        write_lines(tmp_path / "rollouts" / f"{step}.jsonl", lines)
    path = write_report(tmp_path / "many.html", tmp_path)
    browser.size(1300, 800)
    interactive = browser.open(path, "interactive")
    browser.wait("document.documentElement.dataset.ready === 'complete'")
    browser.keys("2")
    assert browser.find("#status").text == "50,000 of 50,000 rollouts"
    assert browser.run("return document.querySelectorAll('.row').length") < 40
    timed = browser.driver.execute_async_script(
        """
        const [done] = arguments, list = document.getElementById("list"), kind = document.getElementById("filter-kind");
        const frame = () => new Promise(requestAnimationFrame);
        (async () => {
          const start = performance.now();
          kind.value = "1"; kind.dispatchEvent(new Event("change")); await frame();
          const filter = performance.now() - start;
          kind.value = ""; kind.dispatchEvent(new Event("change")); await frame();
          const frames = [];
          for (let i = 0; i < 30; i++) {
            const before = performance.now();
            list.scrollTop = list.scrollHeight * ((i * 7) % 30) / 30; await frame();
            frames.push(performance.now() - before);
          }
          done({ filter, scroll: frames.sort((a, b) => a - b)[15] });
        })();
        """
    )
    for place in (0, 0.5, 1):  # no hole in the list, wherever it was scrolled to
        browser.run("const l = document.getElementById('list'); l.scrollTop = l.scrollHeight * arguments[0]", place)
        time.sleep(0.2)
        shot = browser.screenshot("#list")
        lines_with_ink = np.flatnonzero((shot < 128).all(-1).any(1))
        assert len(shot) > 400 and np.diff(lines_with_ink, prepend=0, append=len(shot)).max() < ROW, place
    # Far above what was measured (docs/report.md), so that a busy machine does not fail the test; a stall does.
    assert interactive < 15 and timed["filter"] < 1000 and timed["scroll"] < 250
    browser.type("search", "4711")
    browser.wait("document.getElementById('status').textContent.startsWith('10 of')", 10)
    assert browser.complaints() == []
    assert browser.requests() == []
