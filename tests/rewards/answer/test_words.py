"""The rules of `words`: sound, and compiled only where they are asked."""

import gc
import re

from mixed_r1_verl.rewards.answer import words
from mixed_r1_verl.rewards.mixed import MixedReward


def test_a_rule_is_compiled_when_it_is_first_asked(monkeypatch):
    compiled, really = [], re.compile
    monkeypatch.setattr(words.re, "compile", lambda *given: compiled.append(given) or really(*given))
    rule = words.grammar("<SURE> not")
    assert not compiled
    assert rule.search("Most likely  not.") and rule.search("A cat.") is None and rule.groups == 0
    assert len(compiled) == 2  # once a method, and Python remembers the pattern


def test_every_rule_is_sound():
    """One that is not would be noticed by the answer that first asks it."""
    dict(MixedReward().kinds)  # loads all modules
    rules = [found for found in gc.get_objects() if isinstance(found, words._Rule)]
    assert len(rules) > 50
    for rule in rules:
        re.compile(rule.source)
