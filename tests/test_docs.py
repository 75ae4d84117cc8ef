"""The examples of the documentation say what the code does, and name what there is."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import mixed_r1_verl
from mixed_r1_verl.data.images import MAX_FILE_BYTES, MAX_SOURCE_PIXELS, READ_FORMATS
from mixed_r1_verl.data.raw import MAX_XML_BYTES
from mixed_r1_verl.rewards.config import MixedRewardConfig

DOCS = Path(__file__).parent.parent / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(page for page in DOCS.glob("*.md") if ">>>" in page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_page(page: Path) -> None:
    """All Python blocks of a page are one session, in order."""
    text = page.read_text(encoding="utf-8")
    source = "\n".join(match[1] for match in _BLOCK.finditer(text))
    examples = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)
    failures: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(examples, out=failures.append)
    assert result.attempted and not result.failed, "".join(failures)


# Modules of the plugin import verl and torch; they have tests of their own.
_HEAVY = ("plugin", "recipes")
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(mixed_r1_verl.__path__, "mixed_r1_verl.", onerror=lambda name: None)
    if info.name.split(".")[1] not in _HEAVY
)
MODULES += [f"examples.demo.{name}" for name in ("scenes", "data", "tiny.sight", "tiny.teacher", "tiny.practice")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name: str) -> None:
    failures: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    for examples in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(examples, out=failures.append)
    assert not failures, "".join(failures)


def test_pages_with_examples_are_found() -> None:
    assert DOCS / "rewards.md" in PAGES


def test_every_key_of_the_configuration_is_documented() -> None:
    table = (DOCS / "rewards.md").read_text(encoding="utf-8").partition("## Configuration")[2]
    config = MixedRewardConfig()
    keys = [name for name in vars(config) if name != "options"]
    for kind, options in config.options.items():
        keys += [f"{kind}.{name}" for name in vars(options)] if options is not None else []
    for key in keys:
        assert re.search(rf"`{re.escape(key)}[`.]", table), key


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_security_policy_names_limits_and_tests_that_there_are() -> None:
    text = (DOCS.parent / "SECURITY.md").read_text(encoding="utf-8")
    limits = f"{MAX_FILE_BYTES >> 20} MiB, {MAX_SOURCE_PIXELS // 10**6} million pixels"
    assert limits in text and f"no document type, {MAX_XML_BYTES >> 20} MiB" in text and len(READ_FORMATS) == 7
    tests = re.findall(r"`(\S*test_\w+\.py)`", text)
    assert len(tests) > 10
    for test in tests:
        assert (DOCS.parent / test).exists() or ("/" not in test and list(Path(__file__).parent.rglob(test))), test
