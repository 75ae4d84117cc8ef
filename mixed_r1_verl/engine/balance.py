"""Stage balance: no answer, source or difficulty may occur much more often than its even share.

Rows that are too many leave in an order drawn by the seed and the row's id. Where it can be done without harm, the
right option first changes places with another, so that letters become even and fewer rows have to leave.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from mixed_r1_verl.engine.config import BalanceConfig
from mixed_r1_verl.engine.rows import PAIRS, Drop, by_label, drawn_order, drop, set_column

TENTHS = 10


def drop_surplus(table: pa.Table, config: BalanceConfig, seed: int) -> pa.Table:
    """Drops rows of values that occur too often: `answer`, `difficulty` or `source`."""
    order = drawn_order(table, seed, "balance")
    if config.move_answers and config.letters is not None:
        table = move_answers(table, order)
    drops: dict[int, Drop] = {}

    def limit(ratio: float | None, reason: str, what: str, rows: list[int], labels: Sequence[object], of: int) -> None:
        left = [row for row in rows if row not in drops and labels[row] is not None]
        for row in () if ratio is None else surplus(left, labels, of, ratio):
            drops[row] = Drop(reason, f"more than {ratio:g} even shares of {what} {labels[row]}")

    answers, choices, rewards, means, sources = (
        table[name].to_pylist() for name in ("answer", "choices", "reward", "mean", "source")
    )
    options = [count if answer.isupper() else None for count, answer in zip(choices, answers, strict=True)]
    for count, rows in by_label(order, options).items():
        limit(config.letters, "answer", f"{count} options:", rows, answers, count)
    for rows in by_label(order, [PAIRS.get(answer) for answer in answers]).values():
        limit(config.yes_no, "answer", "answer", rows, answers, 2)
    tenths = [None if mean is None else min(int(mean * TENTHS), TENTHS - 1) for mean in means]
    for reward, rows in by_label(order, rewards).items():
        limit(config.difficulty, "difficulty", f"{reward} tenth", rows, tenths, 0)
        limit(config.sources, "source", f"{reward} source", rows, sources, 0)
    return drop(table, drops)


def surplus(rows: Sequence[int], labels: Sequence[object], classes: int, ratio: float) -> Iterator[int]:
    """Of row numbers, those that stay longest first, the ones beyond the cap of their label.

    There could be so many `classes` of labels, or with 0 as many as occur; `ratio` is the largest share of a label as a
    multiple of the even share.
    """
    counts = Counter(labels[row] for row in rows)
    cap = largest_cap(counts, ratio / (classes or max(1, len(counts))))
    seen: Counter[object] = Counter()
    for row in rows:
        seen[labels[row]] += 1
        if seen[labels[row]] > cap:
            yield row


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
        if cap <= share * sum(min(count, cap) for count in counts.values()) + 1e-9:
            low = cap
        else:
            high = cap - 1
    return low or most


def move_answers(table: pa.Table, order: Sequence[int]) -> pa.Table:
    """Sets `swap` so that letters are as even as the movable questions allow; `answer` is then the new letter."""
    answers, options, movable = (table[name].to_pylist() for name in ("answer", "choices", "movable"))
    swaps: list[int | None] = [None] * table.num_rows
    lettered = [row for row in order if answers[row].isupper()]
    taken = {count: [0] * count for count in set(options)}
    for row in lettered:
        if not movable[row]:
            taken[options[row]][ord(answers[row]) - ord("A")] += 1
    for row in lettered:
        if movable[row]:
            counts, own = taken[options[row]], ord(answers[row]) - ord("A")
            # The rarest letter so far; where several are as rare, the letter that the question has.
            target = min(range(len(counts)), key=lambda letter: (counts[letter], letter != own, letter))
            counts[target] += 1
            if target != own:
                swaps[row], answers[row] = target, chr(ord("A") + target)
    return set_column(set_column(table, "answer", answers), "swap", swaps)
