"""`mixed-r1 eval`: generate, score, keep, sum up."""

import contextlib
import dataclasses
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import ReportFormat, merge, parse_settings, progress_bar
from mixed_r1_verl.core.verl_config import read_config, reward_config
from mixed_r1_verl.evaluate.answers import Answers, AnswersError, Row
from mixed_r1_verl.evaluate.engine import IN_FLIGHT, Engine, Generated, Refused, Sampling
from mixed_r1_verl.evaluate.model import ModelError, fingerprint, hugging_face_model, resolve, tokenizer_directory
from mixed_r1_verl.evaluate.questions import Question, QuestionError, QuestionFile, ground_truths, require_questions
from mixed_r1_verl.evaluate.summary import print_summary, summarise
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import failure
from mixed_r1_verl.rewards.pool import Sample, ScoringPool

FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130


class EvalError(ValueError):
    """The evaluation cannot be done as asked."""


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
        Path | None, typer.Option(help="config.yaml that Hydra saved for a run: its reward block is taken.")
    ] = None,
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
    errors = Console(stderr=True, soft_wrap=True)
    try:
        block = merge(reward_config(read_config(config)) if config else {}, parse_settings(set_ or []))
        reward = dataclasses.replace(MixedRewardConfig.from_mapping(block), processes=processes)
        options = parse_settings(vllm or [])
        sampling = Sampling(n, temperature, top_p, max_tokens, seed)
        if n > 1 and not temperature:
            raise EvalError("--n asks for several responses, which are all the same at --temperature 0; set both")
        with stdout_to_stderr():
            rows = _evaluate(model, files, output, sampling, reward, block, options, errors)
    except (EvalError, ModelError, QuestionError, AnswersError, ConfigError) as error:
        errors.print(f"error: {error}", markup=False, highlight=False)
        raise typer.Exit(BAD_USAGE) from error
    except (OSError, RuntimeError) as error:
        errors.print(f"error: {error}", markup=False, highlight=False)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        errors.print(f"interrupted; the same command goes on with {output}", markup=False, highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    lines = summarise(rows)
    if format is ReportFormat.json:
        plain = {"model": model, "groups": [line.as_dict() for line in lines]}
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print_summary(lines, Console(width=None if sys.stdout.isatty() else 120))
    failed = [row for row in rows if row["error"]]
    for reason in dict.fromkeys(row["reason"] for row in failed[:100]):
        errors.print(f"error: {reason}", markup=False, highlight=False)
    raise typer.Exit(FAILED if failed or not rows else 0)


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
    console: Console,
) -> list[Row]:
    """All responses, those that were there already and those that this run made."""
    for path in files:
        require_questions(path)
    if len({path.name for path in files}) < len(files):
        raise EvalError("two of the files have the same name, by which the answers are told apart; rename one")
    if not output.parent.is_dir():
        raise EvalError(f"{output}: the folder {output.parent} does not exist")
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
        _answer_rest(answers, place, files, sampling, reward, options, console)
    finally:
        answers.finish()
    return answers.rows()


def _answer_rest(
    answers: Answers,
    place: Path | str,
    files: Sequence[Path],
    sampling: Sampling,
    reward: MixedRewardConfig,
    options: Mapping[str, Any],
    console: Console,
) -> None:
    """Ask and score every row that has no answer yet."""
    missing = [
        (path, row)
        for path in files
        for row, truth in enumerate(ground_truths(path))
        if not answers.done(path.name, row, truth)
    ]
    if not missing:
        return
    from mixed_r1_verl.plugin.rollout import load_processors

    tokenizer, processor = load_processors(tokenizer_directory(place))
    sources = {path: QuestionFile(path, tokenizer, processor) for path in dict.fromkeys(path for path, _ in missing)}
    with hugging_face_model(place) as directory, progress_bar(console) as progress:
        task = progress.add_task("loading", total=len(missing))
        engine = Engine(directory, tokenizer, processor, sampling.seed, options)
        progress.update(task, description="answering")
        asked = (sources[path].question(row) for path, row in missing)
        for rows in score(engine.answer(asked, sampling), reward, sampling.n):
            answers.add(rows)
            progress.advance(task)


def score(
    answered: Iterable[tuple[Question, list[Generated] | Refused]], config: MixedRewardConfig, n: int
) -> Iterator[list[Row]]:
    """The rows of the output, one list for each question; scoring goes on while further answers are generated."""
    pool = ScoringPool(config)
    try:
        flying: deque[tuple[Question, list[Generated], list[Future[dict[str, Any]]]]] = deque()
        for question, outcome in answered:
            if isinstance(outcome, Refused):
                result = failure(str(question.extra_info.get("reward") or ""), outcome.reason)
                yield [_row(question, sample, Generated("", 0, False), result) for sample in range(n)]
                continue
            flying.append((question, outcome, [pool.submit(_sample(question, one.text)) for one in outcome]))
            while flying and (len(flying) > IN_FLIGHT or all(future.done() for future in flying[0][2])):
                yield _scored(*flying.popleft())
        while flying:
            yield _scored(*flying.popleft())
    finally:
        pool.close()


def _sample(question: Question, text: str) -> Sample:
    return Sample(question.data_source, text, question.ground_truth, question.extra_info)


def _scored(question: Question, answers: list[Generated], futures: list["Future[dict[str, Any]]"]) -> list[Row]:
    pairs = zip(answers, futures, strict=True)
    return [_row(question, sample, one, future.result()) for sample, (one, future) in enumerate(pairs)]


def _row(question: Question, sample: int, answer: Generated, result: Mapping[str, Any]) -> Row:
    """One line of the output: what `mixed-r1 score` and `mixed-r1 report` read."""
    return {
        "file": question.file,
        "row": question.row,
        "sample": sample,
        "id": question.id,
        "data_source": question.data_source,
        **result,
        "tokens": answer.tokens,
        "truncated": answer.truncated,
        "ground_truth": question.ground_truth,
        "response": answer.text,
        "input": question.text,
        **{name: value for name, value in question.extra_info.items() if name != "reward"},
    }
