"""Reward kinds of your own: `custom.NAME=package.module:object` in the reward block.

The object is a `RewardKind`, or a function. A function's first two parameters get the answer and the ground truth,
whatever they are called; each further one gets the column of `extra_info` of its name, or its default where a row has
none. It returns a number or truth value in [0, 1], a `Verdict`, or None to abstain:

    def steps_reward(answer, ground_truth, *, question, difficulty=1):
        return float(answer.strip() == ground_truth)
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring, choices_of, plain_gold
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["as_verdict", "custom_kind", "function_kind"]


def custom_kind(name: str, target: str) -> RewardKind:
    """The kind behind a configured `package.module:object`.

    Raises:
        ConfigError: it cannot be imported, or is neither a kind nor a function that a reward can be.
    """
    module_name, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]
        hint = "; its folder must be on PYTHONPATH" if missing else ""
        raise ConfigError(f"custom reward {target!r} cannot be loaded: {error}{hint}") from error
    if isinstance(found, RewardKind):
        return replace(found, name=name)
    if not callable(found):
        raise ConfigError(f"custom reward {target!r} is a {type(found).__name__}, neither a RewardKind nor a function")
    return function_kind(name, found, target)


def function_kind(name: str, function: Callable[..., Any], target: str = "") -> RewardKind:
    """The kind of a function; it is called once on a made-up answer, and what it returns must be a result.

    Raises:
        ConfigError: the function takes fewer than two arguments, or returns something else.

    >>> kind = function_kind("length", lambda answer, truth, *, limit=10: len(answer) <= limit)
    >>> kind.columns, kind.parse("", {"limit": 3}, Scoring(None, lambda: None)).score("four").acc
    (('limit',), 0.0)
    """
    target = target or name
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigError(f"custom reward {target!r}: its parameters cannot be read ({error})") from error
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 2 and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        raise ConfigError(
            f"custom reward {target!r} takes {len(positional)} arguments; it needs answer and ground truth"
        )
    further = {one.name: one for one in parameters if one not in positional[:2]}
    columns = {key: one for key, one in further.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}

    def arguments(extra_info: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for column, parameter in columns.items():
            if column == "choices":
                given[column] = list(choices_of(extra_info))
            elif column == "extra_info":
                given[column] = extra_info
            elif extra_info.get(column) is not None:
                given[column] = extra_info[column]
            elif parameter.default is parameter.empty:
                raise GroundTruthError(f"extra_info has no {column!r}, which the custom reward {target!r} asks for")
        return given

    def parse(ground_truth: str, extra_info: Mapping[str, Any], scoring: Scoring) -> Gold:
        given = arguments(extra_info)
        return plain_gold(ground_truth, lambda answer: as_verdict(function(answer, ground_truth, **given), target))

    _try_once(function, columns, target)
    return RewardKind(name, parse, columns=tuple(columns), exact=False)


def _try_once(function: Callable[..., Any], columns: Mapping[str, inspect.Parameter], target: str) -> None:
    """Call the function on a made-up answer. What it raises is no fault, for it may be hard to please; what it returns
    may be one."""
    made_up = {"choices": [], "extra_info": {}, "question": "", "width": 1, "height": 1}
    given = {name: made_up.get(name, "") for name, one in columns.items() if one.default is one.empty}
    try:
        result = function("A", "A", **given)
    except Exception:
        return
    as_verdict(result, target)


def as_verdict(result: Any, target: str) -> Verdict | None:
    """What a reward function returned, as a verdict.

    Raises:
        ConfigError: it is none of the things that it may be.

    >>> as_verdict(True, "mine"), as_verdict(None, "mine")
    (Verdict(acc=1.0, prediction='', reason=''), None)
    """
    if result is None or isinstance(result, Verdict):
        return result
    if isinstance(result, bool | int | float) or type(result).__module__ == "numpy":
        try:
            return Verdict(float(result))
        except (TypeError, ValueError):
            pass
    raise ConfigError(
        f"custom reward {target!r} returned {type(result).__name__} {result!r:.60}; it must return a number in [0, 1], "
        "a Verdict, or None to abstain"
    )
