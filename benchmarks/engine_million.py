"""Time and peak memory of the engine's metadata stages on a million rows.

    python benchmarks/engine_million.py --rows 1000000

Rows are made up: a fifth repeats an earlier row with up to four bits of the picture hash changed, three in ten ask one
and the same question ("Describe the picture."), which is the worst case for the search of near-duplicates, and
answers and sources are uneven. Pictures themselves are not there: the stages never read them.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.engine.balance import drop_surplus
from mixed_r1_verl.engine.config import BalanceConfig, MixConfig, NearConfig, QuotaConfig
from mixed_r1_verl.engine.decontaminate import ITEMS, EvaluationSet, drop_contaminated
from mixed_r1_verl.engine.duplicates import drop_duplicates
from mixed_r1_verl.engine.mix import split_and_mix
from mixed_r1_verl.engine.quotas import apply_quotas
from mixed_r1_verl.engine.rows import ROWS, staying

SOURCES = [f"source_{number}" for number in range(8)]
REWARDS = ("matching", "chart", "iou", "open_ended")


def make_rows(count: int, seed: int = 0) -> pa.Table:
    """A table of `count` made-up rows."""
    random = np.random.default_rng(seed)
    phash = random.integers(0, 1 << 64, count, dtype=np.uint64)
    colour = random.integers(0, 1 << 24, count, dtype=np.uint32)
    question = random.integers(0, 1 << 64, count, dtype=np.uint64)
    question[random.random(count) < 0.3] = 7
    copies = np.flatnonzero(random.random(count) < 0.2)[1:]
    originals = (random.random(len(copies)) * copies).astype(int)
    phash[copies], colour[copies], question[copies] = phash[originals], colour[originals], question[originals]
    for _ in range(4):
        changed = copies[random.random(len(copies)) < 0.5]
        phash[changed] ^= np.uint64(1) << random.integers(0, 64, len(changed), dtype=np.uint64)
    reward = random.choice(REWARDS, count, p=(0.4, 0.3, 0.2, 0.1))
    letters = random.choice(list("ABCD"), count, p=(0.5, 0.3, 0.1, 0.1))
    offsets = pa.array(np.arange(count + 1, dtype=np.int32))
    matching = reward == "matching"
    return pa.table(
        {
            "source": np.sort(random.choice(SOURCES, count, p=np.arange(1, 9) / 36)),
            "file": np.zeros(count, np.int32),
            "row_group": np.arange(count, dtype=np.int32) // 256,
            "row": np.arange(count, dtype=np.int32) % 256,
            "id": [f"source/train/picture_{number:07d}/question_0" for number in range(count)],
            "reward": reward,
            "answer": np.where(matching, letters, ""),
            "choices": np.where(matching, 4, 0).astype(np.int32),
            "movable": matching & (random.random(count) < 0.5),
            "question": question,
            "truth": question,
            "pictures": pa.ListArray.from_arrays(offsets, pa.array(phash)),
            "phash": pa.ListArray.from_arrays(offsets, pa.array(phash)),
            "colour": pa.ListArray.from_arrays(offsets, pa.array(colour)),
            "bytes": np.full(count, 50_000),
            "group": pa.nulls(count, pa.string()),
            "mean": random.random(count).round(3),
            "spread": random.random(count).round(3),
            "swap": pa.nulls(count, pa.int32()),
            "validation": pa.nulls(count, pa.bool_()),
            "reason": pa.nulls(count, pa.string()),
            "detail": pa.nulls(count, pa.string()),
        },
        schema=ROWS,
    )


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    print(f"before anything: peak {peak_mb():,.0f} MB")
    table = make_rows(count)
    print(f"{count:,} rows in {table.nbytes / 1e6:,.0f} MB of columns, peak {peak_mb():,.0f} MB")
    near = NearConfig()
    columns = (table[name][:10_000].to_pylist() for name in ("question", "phash", "colour"))
    keys = [
        {"question": question, "phash": phash[0], "colour": colour[0], "where": str(number)}
        for number, (question, phash, colour) in enumerate(zip(*columns, strict=True))
    ]
    path = Path(tempfile.mkdtemp()) / "keys.parquet"
    pq.write_table(pa.Table.from_pylist(keys, schema=ITEMS), path)
    evaluation = [EvaluationSet("eval", "picture", path)]
    config = BalanceConfig(letters=1.5, yes_no=1.2, sources=2.0, difficulty=1.5)
    stages: list[tuple[str, Callable[[pa.Table], pa.Table]]] = [
        ("duplicates", lambda rows: drop_duplicates(rows, near)),
        ("decontaminate", lambda rows: drop_contaminated(rows, evaluation, near)),
        ("balance", lambda rows: drop_surplus(rows, config, 0)),
        ("quotas", lambda rows: apply_quotas(rows, QuotaConfig(rewards={"matching": 200_000}), 0)),
        ("mix", lambda rows: split_and_mix(rows, MixConfig(), 0.02, 0)),
    ]
    results = {}
    for name, stage in stages:
        started = time.process_time()
        table = staying(stage(table))
        seconds = time.process_time() - started
        results[name] = {"seconds": round(seconds, 1), "rows": table.num_rows, "peak_mb": round(peak_mb())}
        print(f"{name:14} {seconds:7.1f} s  {table.num_rows:>9,} rows left  peak {peak_mb():,.0f} MB", flush=True)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
