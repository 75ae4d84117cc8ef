"""The command `mixed-r1 eval`: generate, score, keep, sum up."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import (
    FAILED,
    OK,
    ReportFormat,
    TrustConfig,
    command_errors,
    error_line,
    merge,
    parse_settings,
    print_json,
    progress_bar,
    terminal,
)
from mixed_r1_verl.core.rows import DataError, Reject, read_rows
from mixed_r1_verl.core.verl_config import read_config, reward_config
from mixed_r1_verl.plugin.rollout import PromptBuilder, load_processors
from mixed_r1_verl.responses.answers import Answers, Row, answer_row
from mixed_r1_verl.responses.generate import COLUMNS, Answered, Generated, Generator, Refused, Sampling, read_questions
from mixed_r1_verl.responses.model import fingerprint, hugging_face_model, resolve, tokenizer_directory
from mixed_r1_verl.responses.read import Response, parquet_columns
from mixed_r1_verl.responses.scoring import score_answers
from mixed_r1_verl.responses.summary import Group, Summary, print_summary
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
    trust_config: TrustConfig = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the reward block, repeatable: chart.tolerance=0.1"),
    ] = None,
    vllm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An engine argument of vLLM, repeatable: tensor_parallel_size=4"),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Scoring processes.")] = 2,
    format: Annotated[ReportFormat, typer.Option(help="How the summary is printed.")] = ReportFormat.table,
) -> None:
    """Validate a model over parquet files, by source and reward, with 95 % confidence intervals.

    Example: mixed-r1 eval outputs/demo/checkpoints outputs/demo/data/val.parquet --max-tokens 96

    Exits with 1 if a row could not be asked or scored, or there was none.
    """
    interrupted = f"interrupted; the same command goes on with {output}"
    with command_errors(interrupted=interrupted):
        if config and not trust_config:
            raise ConfigError(f"{config} may name code that is imported and addresses that are called: --trust-config")
        block = merge(reward_config(read_config(config)) if config else {}, parse_settings(set_ or []))
        reward = dataclasses.replace(MixedRewardConfig.from_mapping(block), processes=processes)
        options = parse_settings(vllm or [])
        sampling = Sampling(n, temperature, top_p, max_tokens, seed)
        if n > 1 and not temperature:
            raise ConfigError("--n asks for several responses, which are all the same at --temperature 0; set both")
        with stdout_to_stderr():
            rows = _evaluate(model, files, output, sampling, reward, block, options)
    summary = Summary(rows)
    if format is ReportFormat.json:
        groups = [_as_dict(source, kind, group) for source, kind, group in summary.lines]
        print_json({"model": model, "groups": groups})
    else:
        columns = ("prompts", "n", "acc", "95 % interval", "score", *MEANS)
        print_summary(summary, columns, terminal(width=None if sys.stdout.isatty() else 120))
    failures = summary.total.failures
    for reason in failures:
        error_line(reason)
    raise typer.Exit(FAILED if failures or not rows else OK)


def _as_dict(source: str, kind: str, group: Group) -> dict[str, Any]:
    """One line of the summary as plain data."""
    plain: dict[str, Any] = {"data_source": source, "reward": kind}
    plain |= {"prompts": group.prompts, "responses": group.responses}
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
    reward: MixedRewardConfig,
    block: Mapping[str, Any],
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
    settings = {
        "model": str(place),
        "weights": fingerprint(place),
        **dataclasses.asdict(sampling),
        "reward": dict(block),
        "vllm": dict(options),
    }
    answers = Answers(output, settings)
    try:
        wanted = {path: _unanswered(path, answers) for path in files}
        if any(wanted.values()):
            _answer_rest(answers, place, wanted, sampling, reward, options)
    finally:
        answers.finish()
    return answers.rows()


def _unanswered(path: Path, answers: Answers) -> set[int]:
    """The rows of a file that have no answer yet."""
    wanted = set()
    for row in read_rows(path):
        if isinstance(row, Reject):
            raise DataError(f"{row.row}: {row.field}: {row.detail}; `mixed-r1 check {path}` says more")
        if not answers.done(path.name, row.number, row.ground_truth):
            wanted.add(row.number)
    return wanted


def _answer_rest(
    answers: Answers,
    place: Path | str,
    wanted: Mapping[Path, set[int]],
    sampling: Sampling,
    reward: MixedRewardConfig,
    options: Mapping[str, Any],
) -> None:
    """Ask and score the wanted rows."""
    tokenizer, processor = load_processors(tokenizer_directory(place))
    prompts = PromptBuilder(tokenizer, processor)
    with hugging_face_model(place) as directory, progress_bar(terminal(stderr=True)) as progress:
        task = progress.add_task("loading", total=sum(map(len, wanted.values())))
        generator = Generator(directory, tokenizer, processor, {"seed": sampling.seed, **options})
        progress.update(task, description="answering")
        questions = (
            question for path, rows in wanted.items() for question in read_questions(path, rows, prompts, sampling.seed)
        )
        for rows in answer_rows(generator.answer(questions, sampling), reward, sampling.n):
            answers.add(rows)
            progress.advance(task)


def answer_rows(answered: Iterable[Answered], config: MixedRewardConfig, n: int) -> Iterator[list[Row]]:
    """The rows of the output, one list for each question; scoring goes on while further answers are generated.

    Args:
        answered: what the model answered.
        config: the reward block.
        n: responses to each question; so many rows has one that vLLM refused.
    """
    columns = [name for name in MixedReward(config).columns if name != "reward"]
    with contextlib.closing(ScoringPool(config)) as pool:
        for (question, outcome), results in score_answers(answered, pool):
            row, info = question.row, question.row.extra_info
            if isinstance(outcome, Refused):
                results = [failure(str(info.get("reward") or ""), outcome.reason)] * n
                outcome = [Generated("", 0, False)] * n
            shown = {name: info[name] for name in columns if name in info}
            yield [
                answer_row(Response(row, sample, one.text), result)
                | {"tokens": one.tokens, "truncated": one.truncated, "input": question.prompt.text, **shown}
                for sample, (one, result) in enumerate(zip(outcome, results, strict=True))
            ]
