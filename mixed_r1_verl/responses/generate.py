"""Responses of a model: rows become prompts, and vLLM answers them, both as in verl's rollout."""

import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from mixed_r1_verl.core.config import Count, Interval, check_bounds
from mixed_r1_verl.core.rows import DataError, DataRow, read_records, row_of
from mixed_r1_verl.plugin.rollout import Prompt, PromptBuilder, load_processors, open_model
from mixed_r1_verl.responses.read import Response

IN_FLIGHT = 256  # prompts that vLLM holds at once; a finished one is replaced at once, so its batches stay full

COLUMNS = ("prompt", "images", "data_source", "reward_model", "extra_info")


class Question(NamedTuple):
    """A row that can be asked."""

    row: DataRow
    prompt: Prompt  # what the model is given
    seed: int  # of the sampling of its responses


class Answered(NamedTuple):
    """What a model said to a question."""

    question: Question
    # each with its `tokens`, the end token included, and whether it was `truncated` at the limit; none where vLLM
    # cannot answer, above all because the prompt leaves no room
    responses: list[Response]
    refused: str = ""  # why it cannot


def response_to(question: Question, sample: int, text: str = "", tokens: int = 0, truncated: bool = False) -> Response:
    """A response to a question, decoded as the reward manager decodes it."""
    values: dict[str, float] = {"tokens": tokens, "truncated": truncated}
    return Response(question.row, text, sample, question.prompt.text, values=values)


class GenerationError(RuntimeError):
    """vLLM cannot load the model, or has died; its own messages stand above."""


@dataclass(frozen=True)
class Sampling:
    """How responses are drawn."""

    n: Count = 1  # responses to each prompt
    temperature: Annotated[float, Interval(ge=0)] = 0.0  # 0 is greedy
    top_p: Annotated[float, Interval(gt=0, le=1)] = 1.0  # share of the probability that is drawn from
    max_tokens: Count = 1024  # length at which a response is cut
    # of the sampling; each prompt has a seed of its own, so a resumed run draws the same
    seed: Annotated[int, Interval(ge=0, lt=1 << 32)] = 0

    def __post_init__(self) -> None:
        check_bounds(self)


def read_questions(path: Path, wanted: Collection[int], prompts: PromptBuilder, seed: int) -> Iterator[Question]:
    """The rows of a parquet file in the form of training whose numbers, from 0, are `wanted`; in order.

    The seed of the sampling, with the file's name and the row's number, makes the seed of each question.

    Raises:
        DataError: a row cannot be asked.
    """
    for number, record in read_records(path, COLUMNS):
        if number in wanted:
            try:
                row = row_of(path.name, number, record)
                prompt = prompts(record)  # type: ignore[arg-type] # `row_of` has refused a bad record
            except Exception as error:  # verl and Pillow raise what they like
                raise DataError(f"{path}, row {number}: {type(error).__name__}: {error}") from error
            yield Question(row, prompt, zlib.crc32(f"{seed}/{path.name}/{number}".encode()))


class Generator:
    """A model in vLLM.

    As in verl's rollout, tokens beyond the tokenizer's vocabulary and placeholders of pictures are never sampled.

    Args:
        model: Hugging Face directory or hub id.
        options: engine arguments of vLLM, above all `tensor_parallel_size` and `max_model_len`.
        processors: where its tokenizer and processor are, if not with the model.

    Attributes:
        prompts: builds the prompts of rows.

    Raises:
        DataError: there is no tokenizer or processor to load.
        GenerationError: vLLM cannot load the model.
    """

    def __init__(self, model: Path | str, options: Mapping[str, Any], processors: Path | str = ""):
        from mixed_r1_verl.plugin.device import cpu_is_wanted

        tokenizer, processor = load_processors(processors or model)
        self.prompts = PromptBuilder(tokenizer, processor)
        # A seeded request whose prompt is computed in pieces rewinds its generator, which the CPU's generator cannot.
        whole_prompts = {"enable_chunked_prefill": False} if cpu_is_wanted() else {}
        try:
            llm = open_model(model, tokenizer, processor, {"use_tqdm_on_load": False, **whole_prompts, **options})
        except Exception as error:  # vLLM raises what it likes
            raise GenerationError(f"vLLM cannot load {model}: {error}") from error
        self._engine: Any = llm.llm_engine
        self._tokenizer = tokenizer
        self._names = count()

    def answer(self, questions: Iterable[Question], sampling: Sampling) -> Iterator[Answered]:
        """The responses to each question, in the order in which they finish."""
        waiting = iter(questions)
        flying: dict[str, Question] = {}
        exhausted = False
        while flying or not exhausted:
            wanted = IN_FLIGHT - len(flying)
            fresh = list(islice(waiting, wanted))
            exhausted = len(fresh) < wanted
            for question in fresh:
                name = str(next(self._names))
                try:
                    self._engine.add_request(name, self._inputs(question), _parameters(question, sampling))
                except ValueError as error:
                    yield Answered(question, [], str(error))
                else:
                    flying[name] = question
            for output in self._step() if flying else ():
                if output.finished:
                    question = flying.pop(output.request_id)
                    said = (self._response(question, sample, one) for sample, one in enumerate(output.outputs))
                    yield Answered(question, list(said))

    def _step(self) -> list[Any]:
        try:
            return self._engine.step()
        except Exception as error:
            raise GenerationError(f"vLLM has died: {error}") from error

    def _inputs(self, question: Question) -> dict[str, Any]:
        # One placeholder a picture, as the chat template writes it; vLLM puts in as many as the picture has tokens.
        text, images = question.prompt
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return {"prompt_token_ids": ids} | ({"multi_modal_data": {"image": images}} if images else {})

    def _response(self, question: Question, sample: int, output: Any) -> Response:
        ids = list(output.token_ids)
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return response_to(question, sample, text, len(ids), output.finish_reason == "length")


def _parameters(question: Question, sampling: Sampling) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=sampling.n,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=question.seed if sampling.temperature else None,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
