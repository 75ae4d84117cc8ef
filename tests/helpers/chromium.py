"""A page in a real Chromium."""

import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from typer.testing import CliRunner

from mixed_r1_verl.cli import app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_chromium = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"),
    pytest.mark.timeout(180),
]
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1300,800"),
)


class Page:
    """An open page."""

    def __init__(self, driver: webdriver.Chrome):
        self.driver = driver

    def open(self, path: Path, until: str = "complete") -> float:
        """Open a file and return the seconds until it is ready."""
        start = time.monotonic()
        self.driver.get(path.as_uri())
        self.wait(f"document.documentElement.dataset.ready === '{until}'")
        return time.monotonic() - start

    def wait(self, condition: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"never: {condition}\n{self.driver.get_log('browser')}"
            time.sleep(0.02)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return self.run("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def keys(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def choose(self, name: str, text: str) -> None:
        self.run(
            "const s = document.getElementById('filter-' + arguments[0]);"
            "s.value = [...s.options].find((o) => o.textContent === arguments[1]).value;"
            "s.dispatchEvent(new Event('change'))",
            name,
            text,
        )

    def type(self, name: str, text: str) -> None:
        self.run(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('input', {bubbles: true}))",
            name,
            text,
        )

    def size(self, width: int, height: int, dark: bool = False) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def screenshot(self, selector: str) -> np.ndarray:
        """What of an element is on the screen, uint8 [height, width, 3]."""
        shot = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        left, top, right, bottom = self.run(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [r.left, r.top, r.right, r.bottom].map(Math.round)",
            selector,
        )
        return np.asarray(shot.crop((max(0, left), max(0, top), min(shot.width, right), min(shot.height, bottom))))

    def seen(self, shot: np.ndarray, selector: str) -> dict[str, int]:
        """Stroke colours of all elements that match, each with the number of its pixels in a screenshot."""
        strokes = "return [...document.querySelectorAll(arguments[0])].map((e) => getComputedStyle(e).stroke)"
        colours = {stroke: [int(part) for part in stroke[4:-1].split(",")] for stroke in self.run(strokes, selector)}
        return {
            stroke: int((np.abs(shot.astype(int) - colour).max(-1) < 24).sum()) for stroke, colour in colours.items()
        }

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call, but for the page itself and what it holds."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = (m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent")
        return [url for url in sent if not url.startswith(("file:", "data:", "chrome"))]

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield Page(driver)
    driver.quit()


def write_report(output: Path, *arguments: object) -> Path:
    ran = CliRunner().invoke(app, ["report", *map(str, arguments), "--output", str(output)])
    assert ran.exit_code == 0, ran.output
    return output
