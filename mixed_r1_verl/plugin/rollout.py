"""What verl's rollout does with a row and with vLLM, for those who generate responses without a trainer.

A prompt is built by verl's own dataset class, and a model is opened in vLLM as verl opens it, so that a response
measured here is one that training would have seen.
"""

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mixed_r1_verl.core.families import LAYERS, MAX_LAYERS
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.plugin import device

CPU_ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
CPU_OPTIONS = {"dtype": "float32", "enforce_eager": True}  # what the CPU recipe sets, for the same reasons


class Prompt(NamedTuple):
    """A row as the rollout asks it: the text after the chat template, and the images as verl hands them to vLLM.

    The text has one placeholder a picture; vLLM puts in as many as the picture has tokens.
    """

    text: str
    images: list[Any]


def load_processors(model: Path | str) -> tuple[Any, Any]:
    """The tokenizer of a Hugging Face directory or hub id, and its processor, which is None for a text model.

    Raises:
        DataError: they cannot be loaded, for whatever reason.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from verl.utils import hf_processor, hf_tokenizer

    try:
        if (config := Path(model) / "config.json").is_file():
            json.loads(config.read_bytes(), object_hook=_bounded)
        return hf_tokenizer(str(model)), hf_processor(str(model))
    except Exception as error:  # libraries raise what they like over a file that they do not expect
        raise DataError(f"{model}: no tokenizer or processor to load ({type(error).__name__}: {error})") from error


def _bounded(fields: dict[str, Any]) -> dict[str, Any]:
    for name in LAYERS:
        if isinstance(fields.get(name), int) and fields[name] > MAX_LAYERS:
            raise ValueError(f"{name} of config.json is more than {MAX_LAYERS}")
    return fields


class PromptBuilder:
    """Builds prompts out of rows of a training file, with what `load_processors` returns."""

    def __init__(self, tokenizer: Any, processor: Any):
        from omegaconf import OmegaConf
        from verl.utils.dataset.rl_dataset import RLHFDataset

        class Rows(RLHFDataset):
            """verl's dataset without files: rows are handed to it one by one."""

            def _download(self, use_origin_parquet: bool = False) -> None: ...

            def _read_files_and_tokenize(self) -> None: ...

        self._rows = Rows([], tokenizer, OmegaConf.create({}), processor)
        self._template = (tokenizer if processor is None else processor).apply_chat_template

    def __call__(self, record: Mapping[str, Any]) -> Prompt:
        """The prompt of a row, of which `prompt` and `images` are read. What verl or Pillow raises comes through."""
        rows = self._rows
        example = copy.deepcopy({key: record[key] for key in ("prompt", "images") if record.get(key) is not None})
        messages = rows._build_messages(example, key="prompt")
        images, _, _ = rows._process_multi_modal_info(messages, rows.image_patch_size, rows.config)
        text = self._template(messages, add_generation_prompt=True, tokenize=False)
        return Prompt(text, images or [])


def open_model(model: Path | str, tokenizer: Any, processor: Any, options: Mapping[str, Any]) -> Any:
    """A model in vLLM, an `LLM`, which samples neither tokens beyond the tokenizer's vocabulary nor placeholders.

    Args:
        model: Hugging Face directory or hub id.
        tokenizer, processor: of the model, from `load_processors`.
        options: engine arguments of vLLM, which raises what it likes; they beat those that a CPU needs.
    """
    chosen: dict[str, Any] = {}
    if device.cpu_is_wanted():
        chosen |= CPU_OPTIONS
        for name, value in CPU_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # its processes print as much as a training run
    from verl.workers.rollout.utils import get_vision_placeholder_token_ids
    from vllm import LLM

    chosen["worker_extension_cls"] = "verl.workers.rollout.vllm_rollout.utils.vLLMColocateWorkerExtension"
    llm = LLM(model=str(model), **(chosen | dict(options)))
    masked = {"vocab_size": len(tokenizer), "banned_token_ids": get_vision_placeholder_token_ids(processor)}
    llm.collective_rpc("monkey_patch_model", kwargs=masked)
    return llm
