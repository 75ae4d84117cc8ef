"""The command `mixed-r1 eval`: generate, score, keep, sum up."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mixed_r1_verl.core import console
from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.core.verl_config import read_config, reward_config
from mixed_r1_verl.responses.answers import Answers, Row, answer_row, score_in_order
from mixed_r1_verl.responses.generate import COLUMNS, Answered, Generator, Sampling, read_questions, response_to
from mixed_r1_verl.responses.model import fingerprint, hugging_face_model, resolve, tokenizer_directory
from mixed_r1_verl.responses.read import parquet_columns, sound_rows
from mixed_r1_verl.responses.summary import Group, Summary
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward, failure
from mixed_r1_verl.rewards.pool import ScoringPool

MEANS = ("format", "error", "truncated", "tokens")


def eval_command(
    model: Annotated[
        str,
        typer.Argument(
            help="Hugging Face directory, hub id, or checkpoint of verl: global_step_N or the folder that holds them.",
            show_default=False,
        ),
    ],
    files: Annotated[list[Path], typer.Argument(help="Parquet files in the form of training.", show_default=False)],
    output: Annotated[
        Path, typer.Option(help="JSONL of responses with all components; a run that was cut goes on with it.")
    ] = Path("eval.jsonl"),
    n: Annotated[int, typer.Option("--n", min=1, help="Responses to each prompt.")] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy, as in verl's validation.")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0.001, max=1.0, help="Share of the probability drawn from.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Length of a response; data.max_response_length.")] = 1024,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    config: Annotated[
        Path | None, typer.Option(help="config.yaml that Hydra saved for a run: its reward block, with --trust-config.")
    ] = None,
    trust_config: console.TrustConfig = False,
    set_: console.Settings = None,
    vllm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An engine argument of vLLM, repeatable: tensor_parallel_size=4"),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Scoring processes.")] = 2,
    format: console.PrintedAs = "table",
) -> None:
    """Validate a model over parquet files, by source and reward, with 95 % confidence intervals.

    Example: mixed-r1 eval outputs/demo/checkpoints outputs/demo/data/val.parquet --max-tokens 96

    Exits with 1 if a row could not be asked or scored, or there was none.
    """
    interrupted = f"interrupted; the same command goes on with {output}"
    with console.command_errors(interrupted=interrupted):
        if config and not trust_config:
            raise ConfigError(f"{config} may name code that is imported and addresses that are called: --trust-config")
        block = console.merge(reward_config(read_config(config)) if config else {}, console.parse_settings(set_))
        reward = dataclasses.replace(MixedRewardConfig.from_mapping(block), processes=processes)
        options = console.parse_settings(vllm)
        sampling = Sampling(n, temperature, top_p, max_tokens, seed)
        if n > 1 and not temperature:
            raise ConfigError("--n asks for several responses, which are all the same at --temperature 0; set both")
        made_with = dataclasses.asdict(sampling) | {"reward": block, "vllm": options}
        with stdout_to_stderr():
            rows = _evaluate(model, files, output, sampling, reward, made_with, options)
    summary = Summary(rows)
    if format == "json":
        console.print_json({"model": model, "groups": [_as_dict(*line) for line in summary.lines]})
    else:
        columns = ("prompts", "n", "acc", "95 % interval", "score", *MEANS)
        summary.print(columns, console.terminal(width=None if sys.stdout.isatty() else 120))
    failures = summary.total.failures
    for reason in failures:
        console.say(f"error: {reason}")
    raise typer.Exit(console.FAILED if failures or not rows else console.OK)


def _as_dict(source: str, kind: str, group: Group) -> dict[str, Any]:
    """One line of the summary as plain data."""
    plain: dict[str, Any] = {"data_source": source, "reward": kind}
    plain |= {"prompts": len(group.sizes), "responses": group.responses}
    plain |= {name: group.mean(name) for name in ("acc", "score", *MEANS)}
    for name in ("acc", "score"):
        estimate = group.estimate(name)
        plain |= {f"{name}_95": [estimate.low, estimate.high], f"{name}_interval": estimate.method}
    return plain


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """What vLLM and its processes print goes to standard error, so that the summary stands alone."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _evaluate(
    model: str,
    files: Sequence[Path],
    output: Path,
    sampling: Sampling,
    config: MixedRewardConfig,
    made_with: Mapping[str, Any],
    options: Mapping[str, Any],
) -> list[Row]:
    """All responses, those that were there already and those that this run made."""
    for path in files:
        missing = set(COLUMNS) - {"images"} - set(parquet_columns(path))
        if missing:
            raise DataError(f"{path}: no column {', '.join(sorted(missing))}; `mixed-r1 check {path}` says more")
    if len({path.name for path in files}) < len(files):
        raise ConfigError("two of the files have the same name, by which the answers are told apart; rename one")
    if not output.parent.is_dir():
        raise ConfigError(f"{output}: the folder {output.parent} does not exist")
    place = resolve(model)
    answers = Answers(output, {"model": str(place), "weights": fingerprint(place), **made_with})
    try:
        wanted = {
            path: {row.number for row in sound_rows(path) if not answers.done(path.name, row.number, row.ground_truth)}
            for path in files
        }
        total = sum(map(len, wanted.values()))
        if not total:
            return answers.rows()
        with hugging_face_model(place) as directory, console.progress_bar() as progress:
            task = progress.add_task("loading", total=total)
            generator = Generator(directory, {"seed": sampling.seed, **options}, tokenizer_directory(place))
            progress.update(task, description="answering")
            questions = (
                question
                for path, numbers in wanted.items()
                for question in read_questions(path, numbers, generator.prompts, sampling.seed)
            )
            for rows in answer_rows(generator.answer(questions, sampling), config, sampling.n):
                answers.add(rows)
                progress.advance(task)
    finally:
        answers.finish()
    return answers.rows()


def answer_rows(answered: Iterable[Answered], config: MixedRewardConfig, n: int) -> Iterator[list[Row]]:
    """The rows of the output, one list for each question; scoring goes on while further answers are generated.

    A question that vLLM refused has `n` rows as well.
    """
    columns = [name for name in MixedReward(config).columns if name != "reward"]
    with contextlib.closing(ScoringPool(config)) as pool:
        for (question, responses, refused), results in score_in_order(((one, one.responses) for one in answered), pool):
            info = question.row.extra_info
            if refused:
                responses = [response_to(question, sample) for sample in range(n)]
                results = [failure(str(info.get("reward") or ""), refused)] * n
            shown = {"input": question.prompt.text} | {name: info[name] for name in columns if name in info}
            yield [answer_row(*pair) | shown for pair in zip(responses, results, strict=True)]
