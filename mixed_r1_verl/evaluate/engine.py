"""vLLM, asked offline, with the settings that verl's rollout has."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mixed_r1_verl.evaluate.questions import Question

IN_FLIGHT = 256
"""Prompts that vLLM holds at once; a finished one is replaced at once, so its batches stay full."""


class Generated(NamedTuple):
    """One response.

    Attributes:
        text: decoded as the reward manager decodes it.
        tokens: its length, the end token included.
        truncated: whether it was cut at the limit.
    """

    text: str
    tokens: int
    truncated: bool


class EngineError(RuntimeError):
    """vLLM cannot load the model, or has died; its own messages stand above."""


class Refused(NamedTuple):
    """vLLM cannot answer a prompt, above all because it leaves no room in the model's context."""

    reason: str


@dataclass(frozen=True)
class Sampling:
    """How responses are drawn.

    Attributes:
        n: responses to each prompt.
        temperature: 0 is greedy.
        top_p: share of the probability that is drawn from.
        max_tokens: length at which a response is cut.
        seed: of the sampling; each prompt has a seed of its own made from it, so a resumed run draws the same
            (on a CPU, vLLM has no such seeds).
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int = 0


class Engine:
    """A model in vLLM.

    As in verl's rollout, tokens beyond the tokenizer's vocabulary and placeholders of pictures are never sampled.

    Args:
        model: Hugging Face directory or hub id.
        tokenizer, processor: verl's for the same model.
        seed: of all sampling together; used where prompts cannot have seeds of their own.
        options: engine arguments of vLLM, above all `tensor_parallel_size` and `max_model_len`.

    Raises:
        EngineError: vLLM cannot load the model.
    """

    def __init__(self, model: Path | str, tokenizer: Any, processor: Any, seed: int, options: Mapping[str, Any]):
        from mixed_r1_verl.plugin.device import cpu_is_wanted
        from mixed_r1_verl.plugin.rollout import open_model

        self._seeded = not cpu_is_wanted()  # on a CPU, vLLM 0.30 ends with an error at a seed of a prompt's own
        try:
            llm = open_model(model, tokenizer, processor, {"seed": seed, "use_tqdm_on_load": False, **options})
        except Exception as error:  # vLLM raises what it likes
            raise EngineError(f"vLLM cannot load {model}: {error}") from error
        self._engine: Any = llm.llm_engine
        self._tokenizer = tokenizer

    def answer(
        self, questions: Iterable[Question], sampling: Sampling
    ) -> Iterator[tuple[Question, list[Generated] | Refused]]:
        """The responses to each question, in the order in which they finish."""
        waiting = iter(questions)
        flying: dict[str, Question] = {}
        exhausted = False
        while flying or not exhausted:
            wanted = IN_FLIGHT - len(flying)
            fresh = list(islice(waiting, wanted))
            exhausted = len(fresh) < wanted
            for question in fresh:
                name = f"{question.file}:{question.row}"
                try:
                    self._engine.add_request(name, self._prompt(question), self._parameters(question, sampling))
                except ValueError as error:
                    yield question, Refused(str(error))
                else:
                    flying[name] = question
            for output in self._step() if flying else ():
                if output.finished:
                    yield flying.pop(output.request_id), [self._generated(one) for one in output.outputs]

    def _step(self) -> list[Any]:
        try:
            return self._engine.step()
        except Exception as error:
            raise EngineError(f"vLLM has died: {error}") from error

    def _prompt(self, question: Question) -> dict[str, Any]:
        # One placeholder a picture, as the chat template writes it; vLLM puts in as many as the picture has tokens.
        ids = self._tokenizer(question.text, add_special_tokens=False)["input_ids"]
        return {"prompt_token_ids": ids} | ({"multi_modal_data": {"image": question.images}} if question.images else {})

    def _generated(self, output: Any) -> Generated:
        ids = list(output.token_ids)
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return Generated(text, len(ids), output.finish_reason == "length")

    def _parameters(self, question: Question, sampling: Sampling) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        own = zlib.crc32(f"{sampling.seed}/{question.file}/{question.row}".encode())
        return SamplingParams(
            n=sampling.n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=own if sampling.temperature and self._seeded else None,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
