"""The rows of a parquet file as prompts, read and rendered by verl's own dataset: those of training."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class QuestionError(ValueError):
    """A file or row cannot be asked."""


@dataclass(frozen=True)
class Question:
    """One row, ready for the engine.

    Attributes:
        file, row: where it stands; the row from 0.
        id, data_source, ground_truth, extra_info: the row's own, `extra_info` reduced to what rewards read.
        text: the prompt after the chat template.
        images: pictures as verl hands them to vLLM.
    """

    file: str
    row: int
    id: str
    data_source: str
    ground_truth: str
    extra_info: Mapping[str, Any]
    text: str
    images: list[Any]


def require_questions(path: Path) -> None:
    """Check that a file is one of questions, before anything slow is done.

    Raises:
        QuestionError: it is not there, is no parquet file, or has not the columns of a training file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise QuestionError(f"{path}: no such file")
    try:
        columns = set(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise QuestionError(f"{path}: not a parquet file that can be read ({error})") from error
    missing = {"prompt", "data_source", "reward_model", "extra_info"} - columns
    if missing:
        raise QuestionError(f"{path}: no column {', '.join(sorted(missing))}; `mixed-r1 check {path}` says more")


def ground_truths(path: Path) -> list[str]:
    """The ground truth of every row of a file; nothing else of it is read."""
    import pyarrow.parquet as pq

    return [
        model["ground_truth"] for model in pq.read_table(path, columns=["reward_model"])["reward_model"].to_pylist()
    ]


class QuestionFile:
    """A parquet file whose rows become questions.

    Args:
        path: the file.
        tokenizer, processor: of the model, from verl's `hf_tokenizer` and `hf_processor`; the latter may be None.

    Raises:
        QuestionError: the file cannot be read.
    """

    def __init__(self, path: Path, tokenizer: Any, processor: Any):
        import datasets
        from omegaconf import OmegaConf
        from verl.utils.dataset.rl_dataset import RLHFDataset

        self.path = path
        self._processor = processor if processor is not None else tokenizer
        datasets.disable_progress_bars()
        config = OmegaConf.create({"filter_overlong_prompts": False})
        try:
            with contextlib.redirect_stdout(None):  # it prints its length
                self._rows = RLHFDataset(str(path), tokenizer, config, processor)
        except Exception as error:  # datasets and verl raise what they like
            raise QuestionError(f"{path}: cannot be read ({error})") from error

    def question(self, row: int) -> Question:
        """One row.

        Raises:
            QuestionError: naming the file and the row.
        """
        try:
            record = self._rows[row]
            messages = record["raw_prompt"]
            images, _, _ = self._rows._process_multi_modal_info(
                messages, self._rows.image_patch_size, self._rows.config
            )
            text = self._processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            info = record["extra_info"]
            truth = record["reward_model"]["ground_truth"]
        except Exception as error:
            raise QuestionError(f"{self.path}, row {row}: {type(error).__name__}: {error}") from error
        kept = {name: value for name, value in info.items() if value is not None}
        source = str(record["data_source"])
        return Question(self.path.name, row, str(info.get("id") or ""), source, truth, kept, text, images or [])
