"""The one loop that scores responses: in processes that are killed when a sample takes too long, with all cores."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any, TypeVar

from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.pool import Sample, ScoringPool

T = TypeVar("T")
Result = dict[str, Any]

IN_FLIGHT = 4096
"""Samples that are read ahead of the one whose result is waited for."""


def score_in_order(asked: Iterable[tuple[T, Sequence[Sample]]], pool: ScoringPool) -> Iterator[tuple[T, list[Result]]]:
    """Score samples while further ones come.

    Args:
        asked: something with its samples, any number of them.
        pool: scores.

    Returns:
        Each thing with the results of its samples, in order and as soon as they are there; never more than `IN_FLIGHT`
        samples are held, but for those of one thing.
    """
    flying: deque[tuple[T, list[Future[Result]]]] = deque()
    held = 0

    def landed() -> tuple[T, list[Result]]:
        nonlocal held
        thing, futures = flying.popleft()
        held -= len(futures)
        return thing, [future.result() for future in futures]

    for thing, samples in asked:
        flying.append((thing, [pool.submit(sample) for sample in samples]))
        held += len(samples)
        while flying and (held > IN_FLIGHT or all(future.done() for future in flying[0][1])):
            yield landed()
    while flying:
        yield landed()


def score_responses(responses: Iterable[Response], config: MixedRewardConfig) -> Iterator[tuple[Response, Result]]:
    """Responses with their results, in order.

    Raises:
        RuntimeError: the scoring processes do not start.
    """
    with closing(ScoringPool(config)) as pool:
        for response, (result,) in score_in_order(((one, [one.scored]) for one in responses), pool):
            yield response, result
