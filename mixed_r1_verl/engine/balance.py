"""Stage balance: no answer, source or difficulty may occur much more often than its even share.

Rows that are too many leave in an order drawn by the seed and the row's id. Where it can be done without harm, the
right option first changes places with another, so that letters become even and fewer rows have to leave.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from mixed_r1_verl.engine.config import BalanceConfig
from mixed_r1_verl.engine.rows import ROWS, Drop, Outcome, drop_rows, numbers_of
from mixed_r1_verl.engine.store import draw

STAGE = "balance"
BINS = 10
PAIRS = {"yes": "yes_no", "no": "yes_no", "true": "true_false", "false": "true_false"}


def balance(table: pa.Table, config: BalanceConfig, seed: int, sources: list[str]) -> Outcome:
    """Drops rows of values that occur too often: `answer`, `difficulty` or `source`."""
    ids = table["id"].to_pylist()
    order = np.argsort(np.array([draw(seed, "balance", identity) for identity in ids], np.uint64), kind="stable")
    if config.move_answers and config.letters is not None:
        table = move_answers(table, order)
    drops: dict[int, Drop] = {}

    def limit(labels: np.ndarray, classes: int | None, ratio: float, reason: str, what: str) -> None:
        """Drops what is too many among the rows that are left and have a label."""
        here = [row for row in order.tolist() if labels[row] is not None and row not in drops]
        for row, label in surplus(here, labels, classes, ratio):
            drops[row] = Drop(reason, f"more than {ratio:g} even shares of {what} {label}")

    answers = np.array(table["answer"].to_pylist(), object)
    options = numbers_of(table, "choices")
    letters = np.char.isupper(answers.astype(str)) if len(answers) else np.zeros(0, bool)
    if config.letters is not None:
        for count in sorted(set(options[letters].tolist())):
            chosen = letters & (options == count)
            limit(masked(chosen, answers), count, config.letters, "answer", f"{count} options:")
    if config.yes_no is not None:
        for pair in ("yes_no", "true_false"):
            chosen = np.array([PAIRS.get(answer) == pair for answer in answers.tolist()], bool)
            limit(masked(chosen, answers), 2, config.yes_no, "answer", "answer")
    rewards = np.array(table["reward"].to_pylist(), object)
    for reward in sorted(set(rewards.tolist())):
        chosen = rewards == reward
        if config.difficulty is not None and table["mean"].null_count < table.num_rows:
            bins = np.minimum(np.nan_to_num(numbers_of(table, "mean")) * BINS, BINS - 1).astype(int).astype(object)
            limit(masked(chosen, bins), None, config.difficulty, "difficulty", f"{reward} tenth")
        if config.sources is not None:
            owners = np.array(sources, object)[numbers_of(table, "source")]
            limit(masked(chosen, owners), None, config.sources, "source", f"{reward} source")
    return drop_rows(table, drops, STAGE, sources)


def masked(chosen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels of the chosen rows, None for all others."""
    return np.array([label if here else None for here, label in zip(chosen, labels, strict=True)], object)


def surplus(rows: list[int], labels: np.ndarray, classes: int | None, ratio: float) -> list[tuple[int, object]]:
    """The rows beyond the cap of their label, with it.

    Args:
        rows: row numbers, those that stay longest first.
        labels: label of each row number.
        classes: how many labels there could be; None is as many as occur.
        ratio: largest share of a label, as a multiple of the even share.
    """
    counts: dict[object, int] = {}
    for row in rows:
        counts[labels[row]] = counts.get(labels[row], 0) + 1
    cap = largest_cap(counts, ratio / (classes or max(1, len(counts))))
    seen: dict[object, int] = dict.fromkeys(counts, 0)
    found = []
    for row in rows:
        label = labels[row]
        seen[label] += 1
        if seen[label] > cap:
            found.append((row, label))
    return found


def largest_cap(counts: Mapping[object, int], share: float) -> int:
    """The largest number t such that, with at most t of each label, no label has more than `share` of all.

    Where no cap can achieve that (a single label, or one that is far too rare), nothing is capped: all rows would go.

    >>> largest_cap({"yes": 90, "no": 30}, 0.6), largest_cap({"yes": 90}, 0.6)
    (45, 90)
    """
    most = max(counts.values(), default=0)
    low, high = 0, most
    while low < high:  # the share of a label falls as the cap does
        cap = (low + high + 1) // 2
        if min(cap, most) <= share * sum(min(count, cap) for count in counts.values()) + 1e-9:
            low = cap
        else:
            high = cap - 1
    return low or most


def move_answers(table: pa.Table, order: np.ndarray) -> pa.Table:
    """Sets `swap` so that letters are as even as the movable questions allow; `answer` is then the new letter."""
    answers, options = table["answer"].to_pylist(), numbers_of(table, "choices").tolist()
    movable = numbers_of(table, "movable")
    swaps: list[int | None] = [None] * table.num_rows
    counts: dict[int, list[int]] = {}
    for row, letter in enumerate(answers):
        if len(letter) == 1 and not movable[row]:
            counts.setdefault(options[row], [0] * options[row])[ord(letter) - ord("A")] += 1
    for row in order.tolist():
        if len(answers[row]) == 1 and movable[row]:
            taken = counts.setdefault(options[row], [0] * options[row])
            # The rarest letter so far; where several are as rare, the letter that the question has.
            own = ord(answers[row]) - ord("A")
            target = min(range(options[row]), key=lambda letter: (taken[letter], letter != own, letter))
            taken[target] += 1
            if target != own:
                swaps[row], answers[row] = target, chr(ord("A") + target)
    columns = {"answer": pa.array(answers, pa.string()), "swap": pa.array(swaps, pa.int32())}
    for name, values in columns.items():
        table = table.set_column(ROWS.get_field_index(name), ROWS.field(name), values)
    return table
