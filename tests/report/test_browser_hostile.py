"""Fifty rollouts that mean harm, on a page in a real Chromium: no script, no request, nothing blank."""

import random
from pathlib import Path
from typing import Any

from chromium import Page, needs_chromium, write_report
from report_run import HOSTILE, write_lines

pytestmark = needs_chromium


def hostile_records(draw: random.Random) -> list[dict[str, Any]]:
    """Fifty rollouts that try to run, to ask somebody, or to stop the page, in every field that is shown."""
    payloads = [
        HOSTILE,
        "<svg onload=document.title='owned'>",
        "javascript:document.title='owned'",
        "<script>fetch('https://example.com')</script>",
        "<link rel=stylesheet href=//example.com/a.css>",
        "<iframe srcdoc='<script>top.document.title=`owned`</script>'></iframe>",
        "</pre></textarea></title><base href=//example.com>",
        "<meta http-equiv=refresh content='0;url=https://example.com'>",
        "{{7*7}}{% include 'x' %}",
        "__proto__",
        "constructor",
        "<think>" * 2000,
        "[[0,0,1e308,1e308]]" * 40,
        "\x00\x1b[2J\u202e\ud800",
        "𝕏" * 3000,
        "",
    ]
    pick = lambda: draw.choice(payloads)  # noqa: E731
    return [
        {
            "input": pick(),
            "output": f"<think>{pick()}</think><answer>{pick()}</answer>",
            "gts": draw.choice((pick(), "[[1,2,30,40]]")),
            "score": draw.choice((0.5, -1e308, float("nan"), float("inf"), 10**400)),
            "acc": 1.0,
            "data_source": pick(),
            "reward_kind": draw.choice(("iou", "chart", pick())),
            "reason": pick(),
            "prediction": pick(),
            "id": pick(),
            "uid": pick(),
            "question": draw.choice((pick(), {"a": 1})),
            "choices": [pick(), pick()],
            "width": draw.choice((40, 0, -1, 1e-300, float("nan"))),
            "height": draw.choice((40, float("inf"), 1e308)),
            "step": draw.choice((0, -5, 10**12)),
            pick() or "toString": 3.5,
            "__proto__": 1,
            "hasOwnProperty": 2,
        }
        for _ in range(50)
    ]


def test_fifty_hostile_rollouts_are_shown_and_do_nothing(browser: Page, tmp_path: Path) -> None:
    write_lines(tmp_path / "<img src=x onerror=document.title='owned'>.jsonl", hostile_records(random.Random(0)))
    (path,) = tmp_path.glob("*.jsonl")
    browser.requests()
    browser.size(1300, 800)
    browser.open(write_report(tmp_path / "report.html", path))
    for view in ("1", "3", "2"):
        browser.keys(view)
    assert browser.find("#status").text == "50 of 50 rollouts"
    for number in range(1, 51):
        selected = browser.run(
            "return document.querySelector('.row[aria-selected=true]')?.getAttribute('aria-posinset')"
        )
        assert selected == str(number)
        assert browser.run("return document.querySelector('#detail .response').textContent.length > 20")
        browser.keys("j")
    foreign = "iframe, link:not([rel=icon]), base, object, embed, script[src]"
    assert browser.run("return document.querySelectorAll(arguments[0]).length", foreign) == 0
    assert browser.run("return document.querySelectorAll('script').length") == browser.run(
        "return document.querySelectorAll('script[type=\"text/plain\"]').length + 1"
    )
    assert "owned" not in browser.driver.title.replace("'owned'>", "")
    assert browser.complaints() == []
    assert browser.requests() == []
