"""What every converter test needs: a way to run one, pictures to run it on, and the real samples where they are."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from PIL import Image
from real_samples import Sample, convert_sample, name_of

from mixed_r1_verl.data.convert import Options, Summary, convert_dataset
from mixed_r1_verl.data.raw import UNTOLD, RawFolder, Told
from mixed_r1_verl.data.registry import get_converter

FORMAT = "Reply as <think>your reasoning</think><answer>your answer</answer>."


class Converted(NamedTuple):
    """What a conversion wrote."""

    rows: list[dict[str, Any]]
    rejects: list[tuple[str, str, str, str]]
    path: Path


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., Converted]:
    """Runs a converter of the registry on a folder."""

    def run(
        name: str,
        folder: Path,
        split: str,
        *,
        image_root: Path | None = None,
        suffix: str = "",
        told: Told = UNTOLD,
        **options: Any,
    ) -> Converted:
        output = tmp_path / f"{name}-{split}{suffix}.parquet"
        raw = RawFolder(folder, (image_root,) if image_root else (), told=told)
        summary = convert_dataset(get_converter(name), raw, output, Options(split=split, **options))
        rows = pq.read_table(output).to_pylist()
        lines = output.with_name(f"{output.stem}.rejects.jsonl").read_text(encoding="utf-8").splitlines()
        rejects = [json.loads(line) for line in lines]
        assert (summary.read, summary.written, summary.rejected) == (len(rows) + len(rejects), len(rows), len(rejects))
        return Converted(rows, [(r["row"], r["stage"], r["field"], r["reason"]) for r in rejects], output)

    return run


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Saves a picture, by default 40x20 RGB PNG, and returns its bytes."""

    def save(path: Path, size: tuple[int, int] = (40, 20), mode: str = "RGB", format: str | None = None) -> bytes:
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        image = Image.new("RGB", size, (10, 200, 30)).convert(mode)
        image.save(buffer, format or {".png": "PNG", ".jpg": "JPEG"}[path.suffix])
        path.write_bytes(buffer.getvalue())
        return buffer.getvalue()

    return save


def expected_row(
    source: str,
    split: str,
    identity: str,
    index: int,
    reward: str,
    question: str,
    truth: str,
    instruction: str,
    *,
    images: list[dict[str, Any]],
    size: tuple[int, int] = (40, 20),
    choices: tuple[str, ...] = (),
    shown: str | None = None,
    ability: str | None = None,
    answer_type: str | None = None,
) -> dict[str, Any]:
    """A whole row, spelt out; `shown` is the question with its options as the prompt shows them."""
    return {
        "data_source": source,
        "prompt": [
            {
                "role": "user",
                "content": "<image>" * len(images) + f"\n{shown or question}\n{instruction} {FORMAT}",
            }
        ],
        "images": images,
        "ability": ability or reward,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {
            "id": f"{source}/{split}/{identity}",
            "split": split,
            "index": index,
            "reward": reward,
            "choices": list(choices),
            "question": question,
            "width": size[0],
            "height": size[1],
            "answer_type": ("choice" if choices else "") if answer_type is None else answer_type,
        },
    }


@pytest.fixture
def expected() -> Callable[..., dict[str, Any]]:
    """`expected_row`, as a fixture, since test modules cannot import each other."""
    return expected_row


@pytest.fixture
def write_json() -> Callable[[Path, Any], None]:
    """Writes a JSON file, or JSON lines where the name says so."""

    def write(path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            path.write_text("\n".join(json.dumps(line) for line in value), encoding="utf-8")
        else:
            path.write_text(json.dumps(value), encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def raw_root() -> Path:
    """The folder with real samples: `MIXED_R1_RAW`, or `shared/data/raw` beside the repository."""
    given = os.environ.get("MIXED_R1_RAW")
    root = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data" / "raw"
    if not root.is_dir():
        pytest.skip(f"no real samples at {root}; set MIXED_R1_RAW to the folder that holds them")
    return root


@pytest.fixture(scope="session")
def converted(raw_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sample], tuple[Path, Summary]]:
    """Parquet file and summary of a real sample, converted once a session and without scoring its ground truths."""
    found: dict[str, tuple[Path, Summary]] = {}

    def get(sample: Sample) -> tuple[Path, Summary]:
        name = name_of(sample)
        if name not in found:
            found[name] = convert_sample(sample, raw_root, tmp_path_factory.mktemp("sample"), check_gold=False)
        return found[name]

    return get
