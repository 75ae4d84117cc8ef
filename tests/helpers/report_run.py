"""A small run as verl leaves it: two validations, two training steps, the data, the configuration, an event file."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.data.prompt import build_prompt
from mixed_r1_verl.data.schema import row_schema
from mixed_r1_verl.rewards.mixed import compute_score

HOSTILE = "</script><img src=x onerror=document.title='owned'><!--\u2028\u202egnp.exe\ud800"

TASKS = (  # kind, question, ground truth, a right answer, a wrong one
    ("matching", "is a circle there?", "yes", "yes", "no"),
    ("matching", "is a circle there?", "yes", "yes", "no"),  # the same question of another picture
    ("chart", "How high is the red bar?", "41", "41", "12"),
    ("iou", "Find the red square.", "[[8,16,40,48]]", "[[8,16,40,48]]", "[[8,16,40,32]]"),
    ("open_ended", "What can be seen?", "A red square.", "A red square.", "A blue moon and the sea."),
)


def picture(colour: str, size: tuple[int, int] = (64, 80)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def data_rows(split: str) -> list[dict[str, Any]]:
    return [
        {
            "data_source": f"source_{kind}",
            "prompt": build_prompt(question, kind, answer=truth),
            "images": [{"bytes": picture(("red", "green", "blue", "gold", "gray")[number]), "path": ""}],
            "ability": kind,
            "reward_model": {"style": "rule", "ground_truth": truth},
            "extra_info": {
                "id": f"{kind}/{split}/{number}",
                "split": split,
                "index": number,
                "reward": kind,
                "choices": [],
                "question": question,
                "width": 64,
                "height": 80,
            },
        }
        for number, (kind, question, truth, _, _) in enumerate(TASKS)
    ]


def dumped(row: dict[str, Any], answer: str, step: int, uid: str, components: bool) -> dict[str, Any]:
    """A line of verl's dump: the prompt without special tokens, in training nothing but the score."""
    response = f"<think>I look.</think><answer>{answer}</answer>"
    truth, info = row["reward_model"]["ground_truth"], row["extra_info"]
    result = compute_score(row["data_source"], response, truth, info)
    text = row["prompt"][0]["content"].replace("<image>", "")
    record = {
        "input": f"system\nYou are a helpful assistant.\nuser\n{text}\nassistant\n",
        "output": response,
        "gts": truth,
        "score": result["score"],
        "step": step,
    }
    return record | (result | {"reward": result["score"]} if components else {}) | {"uid": uid}


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def make_run(folder: Path) -> Path:
    for split in ("train", "val"):
        table = pa.Table.from_pylist(data_rows(split), schema=row_schema("bytes"))
        pq.write_table(table, folder / f"{split}.parquet")
    train, val = data_rows("train"), data_rows("val")
    for step in (0, 2):
        lines = [
            dumped(row, task[3] if step or number % 2 else task[4], step, f"v{step}{number}_0_0", True)
            for number, (row, task) in enumerate(zip(val, TASKS, strict=True))
        ]
        write_lines(folder / "validation" / f"{step}.jsonl", lines)
    for step in (1, 2):
        lines = [
            dumped(row, task[3 + sample % 2], step, f"t{step}{number}_{sample}_0", False)
            for number, (row, task) in enumerate(zip(train, TASKS, strict=True))
            for sample in range(2)
        ]
        if step == 2:
            lines[-1] |= {"output": HOSTILE, "score": 0.0}
            lines[-2] |= {"output": "<think>Never <answer>A red square.</answer>", "score": 0.0}
        write_lines(folder / "rollouts" / f"{step}.jsonl", lines)
    config = folder / "hydra" / ".hydra" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"data:\n  train_files: {folder}/train.parquet\n  val_files: [{folder}/val.parquet]\n"
        "actor_rollout_ref: {model: {path: null}}\n"
        "reward: {reward_kwargs: {mixed_r1: {format_weight: 0.1, "
        "embedding_model: '${actor_rollout_ref.model.path}'}}}\n"
    )
    return folder
