"""`mixed-r1 report`: read one run or two, and write the page."""

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import typer

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import Settings, TrustConfig, command_errors, merge, parse_settings, say
from mixed_r1_verl.core.files import write_text
from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.core.verl_config import RunError
from mixed_r1_verl.report.components import recompute
from mixed_r1_verl.report.history import dumped_curves, logged_curves, merge_curves, read_scalars
from mixed_r1_verl.report.page import LoadedRun, choose, render_page
from mixed_r1_verl.report.pictures import Pictures
from mixed_r1_verl.report.run import Run, find_run, read_dump
from mixed_r1_verl.report.verdict import judge
from mixed_r1_verl.responses.join import Candidate, Matcher, read_candidates
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward


def report_command(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run, or JSONL of rollouts or of `mixed-r1 eval`.", show_default=False)
    ],
    compare: Annotated[Path | None, typer.Option(help="A second run, shown beside the first.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Parquet file that was trained or validated on, repeatable; --trust-config: the run's own."),
    ] = None,
    output: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    image_root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of pictures that the data names by paths, repeatable; default: the data's own."),
    ] = None,
    trust_config: TrustConfig = False,
    set_: Settings = None,
    max_rollouts: Annotated[int, typer.Option(min=1, help="Rollouts on the page, of all runs together.")] = 50_000,
    picture_mb: Annotated[float, typer.Option(min=0, help="Megabytes of pictures on the page.")] = 24.0,
) -> None:
    """Write one HTML page of a run: its curves with a verdict, its rollouts with picture, boxes and every score.

    Example: mixed-r1 report outputs/demo --trust-config --output report.html

    The page needs no server and makes no request. With --trust-config the data and the rewards are those that the run's
    own configuration names; without it nothing of a run that somebody else sent is imported, called or opened.
    """
    with command_errors(RunError):
        if not output.parent.is_dir():
            raise RunError(f"{output}: the folder {output.parent} does not exist")
        runs = [find_run(place, trust_config) for place in (run, compare) if place is not None]
        own = {file: split for found in runs for file, split in found.data.items()}
        candidates = read_candidates(dict.fromkeys(data, "") if data else own)
        settings = parse_settings(set_)
        loaded = [_load(found, candidates, settings, max_rollouts // len(runs)) for found in runs]
        rows = [candidate.row for candidate in candidates]
        pictures = Pictures(int(picture_mb * 1e6), image_root or ())
        pictures.add(rows, _most_wanted([rollout for one in loaded for rollout in one.rollouts], rows))
        if pictures.dropped or pictures.broken:
            left_out = f"Pictures of {pictures.dropped:,} rows left out for their size (--picture-mb)"
            unread = f"{pictures.broken:,} pictures could not be read or lie elsewhere (--image-root)"
            loaded[0].notes.append(f"{left_out}; {unread}.")
        title = " and ".join(found.name for found in runs)
        write_text(output, render_page(title, loaded, rows, pictures))
    for one in loaded:
        (_, headline), *findings = one.verdict
        say("\n  ".join([f"{one.name}: {headline}", *(finding.text for finding in findings)]))
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


def _load(run: Run, candidates: Sequence[Candidate], settings: Mapping[str, Any], most: int) -> LoadedRun:
    block = merge(run.rewards, settings)
    config = dataclasses.replace(MixedRewardConfig.from_mapping(block), processes=len(os.sched_getaffinity(0)))
    notes: list[str] = []
    try:
        reward = MixedReward(config)
    except ConfigError as error:
        notes.append(f"Rollouts of the run's own rewards are shown as they were dumped: {error}")
        reward = MixedReward(_without_custom(config))
    rollouts = [rollout for split, path in run.dumps for rollout in read_dump(split, path, reward.columns)]
    notes.insert(0, f"{len(rollouts):,} rollouts in {len(run.dumps):,} files.")
    matcher = Matcher(candidates)
    for rollout in rollouts:
        matcher.attach(rollout)
    notes += _join_notes(matcher)
    try:
        again, same = recompute(rollouts, reward)
        if again:
            notes.append(
                f"Score components of {again:,} rollouts were recomputed, because verl dumps the score alone in "
                f"training; {same:,} of them earned the recorded score, the others are shown without."
            )
    except (RuntimeError, OSError) as error:
        notes.append(f"Score components could not be recomputed: {error}")
    metrics = [name for name in ("score", "acc", "format", "error") if any(name in r.values for r in rollouts)]
    curves = merge_curves(logged_curves(read_scalars(run.events)), dumped_curves(rollouts, metrics))
    shown = choose(rollouts, most)
    if len(shown) < len(rollouts):
        notes.append(f"{len(shown):,} rollouts are shown, in whole groups drawn evenly; curves are of all of them.")
    return LoadedRun(run.name, shown, curves, judge(curves), notes, reward)


def _without_custom(config: MixedRewardConfig) -> MixedRewardConfig:
    weights = {kind: weight for kind, weight in config.weights.items() if kind not in config.custom}
    routes = {source: kind for source, kind in config.routes.items() if kind not in config.custom}
    return dataclasses.replace(config, custom={}, weights=weights, routes=routes)


def _join_notes(matcher: Matcher) -> list[str]:
    exact, several, missing = (matcher.counts[name] for name in ("exact", "several", "missing"))
    if not matcher.counts:
        return ["No rollouts were dumped: train with trainer.rollout_data_dir and trainer.validation_data_dir."]
    if not matcher.candidates:
        known = "name the files with --data, or train with hydra.run.dir=RUN and use --trust-config"
        return [f"No data is known, so there are no pictures: {known}."]
    notes = [f"{exact:,} rollouts were found in the data."]
    if several:
        notes.append(
            f"{several:,} rollouts have a question and an answer that several rows of the data share; verl dumps no "
            "row id, so no picture is shown with them."
        )
    return [*notes, f"{missing:,} rollouts were not found in the data."] if missing else notes


def _most_wanted(rollouts: Sequence[Response], rows: Sequence[DataRow]) -> list[int]:
    """Rows whose pictures are shown, those first that are shown most, sources taking turns."""
    counts = Counter(rollout.found for rollout in rollouts if rollout.found is not None)
    turns: Counter[str] = Counter()
    ordered = []
    for row, _ in counts.most_common():
        source = rows[row].data_source
        ordered.append((turns[source], row))
        turns[source] += 1
    return [row for _, row in sorted(ordered, key=itemgetter(0))]
