"""Rows made ready for an audit: the honest answer to each, and other rows whose answers are unrelated to it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.rewards.cheats import Target, reply
from mixed_r1_verl.rewards.extraction import parse_response
from mixed_r1_verl.rewards.kind import Gold, RewardKind
from mixed_r1_verl.rewards.mixed import MixedReward

_NO_EXTENT = (1000.0, 1000.0)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Case:
    """A row that can be scored."""

    row: DataRow  # the row; of several references of its ground truth, all but the first
    gold: Gold  # its ground truth as its kind reads it, all references
    honest: str  # the answer that the ground truth stands for; of several references, the first
    extent: tuple[float, float]  # width and height of its picture in the frame of its boxes

    @property
    def alone(self) -> "Case":
        """The row with its first reference alone, of which `honest` is a copy."""
        if not self.gold.references:
            return self
        return replace(
            self, row=replace(self.row, ground_truth=json.dumps(self.gold.references[:1], ensure_ascii=False))
        )

    def score(self, reward: MixedReward, response: str) -> dict[str, Any]:
        """What Mixed-Reward says to a response, written in the default format and said in that of the run."""
        said = reward.config.format.translated(response)
        return reward.score(self.row.data_source, said, self.row.ground_truth, self.row.extra_info)

    def allows(self, reward: MixedReward, response: str) -> bool:
        """Whether an attack, said in another format, is none: words beside a box, two blocks where there are none."""
        format = reward.config.format
        if format.style == "think_answer":
            return False
        if not format.answer_tags:
            written = parse_response(response)
            return not written.well_formed and written.reason not in ("empty_think", "empty_answer")
        read = reward.read(format.translated(response))
        return read.well_formed and read.answer == self.honest.strip()

    def answer_to(self, other: "Case") -> str:
        """The honest answer as it would be given to another row: boxes keep their share of the picture."""
        return self.honest if self.extent == other.extent else self.gold.moved(self.honest, other.extent)

    def target(self, unrelated: str, frequent: tuple[str, ...] = (), seed: int = 0) -> Target:
        """What an attack may know of the row."""
        info = self.row.extra_info
        return Target(
            question=str(info.get("question") or ""),
            choices=tuple(str(choice) for choice in info.get("choices") or ()),
            honest=self.honest,
            unrelated=unrelated,
            extent=self.extent,
            frequent=frequent,
            seed=seed,
        )


def readable_cases(kind: str, rows: Sequence[DataRow], reward: MixedReward) -> list[Case]:
    """The rows of a kind whose ground truth can be scored."""
    cases = []
    for row in rows:
        try:
            gold = reward.parse(kind, row.ground_truth, row.extra_info)
            honest, extent = gold.honest, gold.extent or _NO_EXTENT
        except Exception:  # a kind of a user's own may raise anything; its row scores nothing in training either
            continue
        if len(gold.references) > 1:  # held out, so that honest is an answer and no copy
            row = replace(row, ground_truth=json.dumps(gold.references[1:], ensure_ascii=False))
        case = Case(row, gold, honest, extent)
        if not case.score(reward, reply(honest))["error"]:
            cases.append(case)
    return cases


def partners_of(kind: RewardKind, cases: Sequence[Case]) -> list[list[Case]]:
    """Three other rows for each row. Closed answers come from rows of the same form, whether they agree or not, so that
    the mean is the rate of a lucky guess; texts and boxes come from rows with another ground truth."""
    partners = []
    for number, case in enumerate(cases):
        rest = [*cases[number + 1 :], *cases[:number]]
        if kind.answers == "closed":
            suitable = [other for other in rest if other.gold.form == case.gold.form]
        else:
            suitable = [other for other in rest if other.row.ground_truth != case.row.ground_truth]
        suitable = suitable or rest
        step = max(1, len(suitable) // 3)
        partners.append(suitable[::step][:3])
    return partners


def frequent_words(texts: Sequence[str]) -> tuple[str, ...]:
    """The forty words that occur in most texts."""
    counts = Counter(word for text in texts for word in dict.fromkeys(_WORD.findall(text.lower())))
    return tuple(word for word, _ in counts.most_common(40))
