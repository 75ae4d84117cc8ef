"""Responses a second and memory of the rewards on one core, beside what a user would run instead.

    OMP_NUM_THREADS=1 python benchmarks/reward_throughput.py [PART ...] [--seconds 3] [--json FILE]

Needs no accelerator, no download and no data: texts and tables are drawn from a fixed seed. Every part prints its rows;
all parts run in one process. Writes only to a temporary directory and to the file named by --json.
"""

import os

# Before numpy: one core means one thread in the linear algebra, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from closed_rewards import chart, iou, matching
from manager_batch import manager
from measure import Row, rate, rates

# --- open-ended ------------------------------------------------------------------------------------------------------
OPEN_ENDED_ROWS, OPEN_ENDED_DIM = 32_000, 2_048
ANSWER_TOKENS, REFERENCE_TOKENS = 160, 120
# Responses that share a reference, one after another, as GRPO samples them.
GROUP = 8


def open_ended(seconds: float, folder: Path) -> Iterable[Row]:
    """The default and plain BMAS on 160 tokens against 120, d = 2,048, and plain BMAS as one writes it in torch."""
    from tokenizers import Tokenizer

    from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
    from mixed_r1_verl.rewards.similarity.variants import bmas, robust

    vocabulary = write_table(folder / "model")
    start = time.perf_counter()
    table = EmbeddingTable.load(str(folder / "model"), str(folder / "cache"))
    yield Row("prepare the table", time.perf_counter() - start, "s", f"{OPEN_ENDED_ROWS} x {OPEN_ENDED_DIM}, bfloat16")
    pairs = draw_pairs(vocabulary, 512)
    default = rate(lambda a, r: robust(a, r, table, 1024), pairs, seconds)
    yield Row("open-ended, default", default, "pairs/s", "goal 1,500")
    try:
        import torch
    except ImportError:
        print("skipped: plain bmas beside torch (package torch is not installed)")
        return
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))
    in_torch = torch_bmas(table, lambda text: tokenizer.encode(text, add_special_tokens=False).ids)
    difference = max(abs(in_torch(a, r) - bmas(a, r, table, 1024)) for a, r in pairs)
    # Our way of calling the tokenizer keeps no offsets; torch is shown with it, too.
    with_our_tokens = torch_bmas(table, lambda text: table.tokens(text, 1024))
    plain, naive, helped = rates([lambda a, r: bmas(a, r, table, 1024), in_torch, with_our_tokens], pairs, seconds)
    yield Row("open-ended, plain bmas", plain, "pairs/s")
    yield Row("the same in torch", naive, "pairs/s", f"largest difference of results {difference:.1e}")
    yield Row("plain bmas over torch", plain / naive, "x", "goal 4")
    yield Row("torch with our tokens", helped, "pairs/s")
    yield Row("plain bmas over that", plain / helped, "x")
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        print("skipped: comparison with ROUGE-L (package rouge-score is not installed)")
        return
    rouge = rate(lambda a, r: RougeScorer(["rougeL"]).score(r, a), pairs, seconds)
    yield Row("ROUGE-L of rouge-score", rouge, "pairs/s")
    yield Row("default over ROUGE-L", default / rouge, "x")


def open_ended_memory(seconds: float, folder: Path) -> Iterable[Row]:
    """Memory that a worker owns (anonymous pages, without mapped files) with a table of 152,064 x 3,584."""
    write_table(folder / "model", 152_064, 3_584)
    program = (
        "import sys, threading, time, numpy, tokenizers\n"
        "import mixed_r1_verl.rewards.similarity.variants as o\n"
        "from mixed_r1_verl.rewards.similarity.table import EmbeddingTable\n"
        "def own():\n"
        "    return int(next(x for x in open('/proc/self/status') if x.startswith('RssAnon')).split()[1]) / 1024\n"
        "before, peak = own(), [0.0]\n"
        "def watch():\n"
        "    while True:\n"
        "        peak[0] = max(peak[0], own())\n"
        "        time.sleep(0.01)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "table = EmbeddingTable.load(sys.argv[1], sys.argv[2])\n"
        "for variant in (o.robust, o.bmas):\n"
        "    for start in range(0, 40000, 80):\n"
        "        words = ' '.join(table._tokenizer.id_to_token(i) for i in range(start + 1, start + 161))\n"
        "        variant(words, 'a man on a horse ' + words[:400], table, 1024)\n"
        "print(own() - before, peak[0] - before)\n"
    )
    command = [sys.executable, "-c", program, str(folder / "model"), str(folder / "cache")]
    for name in ("first worker, which builds", "every further worker"):
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        owned, peak = map(float, output.split())
        yield Row(name, owned, "MiB", f"peak {peak:.0f} MiB; goal 150")


def write_table(folder: Path, rows: int = OPEN_ENDED_ROWS, dim: int = OPEN_ENDED_DIM) -> list[str]:
    """A model directory with a bfloat16 table and a word tokenizer; returns the words, the commonest first."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from mixed_r1_verl.rewards.similarity.words import FUNCTION_WORDS

    draw = random.Random(0)
    folder.mkdir()
    words = dict.fromkeys(["[UNK]", *(word for word in sorted(FUNCTION_WORDS) if "'" not in word)])
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
    while len(words) < rows:
        words["".join(draw.choices(syllables, k=draw.randint(2, 4)))] = None
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    entry = {"dtype": "BF16", "shape": [rows, dim], "data_offsets": [0, 2 * rows * dim]}
    header = json.dumps({"model.embed_tokens.weight": entry}).encode()
    generator = np.random.default_rng(0)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, rows, 1024):
            block = generator.standard_normal((min(1024, rows - start), dim), np.float32)
            file.write((block.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    return list(words)[1:]


def draw_pairs(vocabulary: list[str], count: int) -> list[tuple[str, str]]:
    """Answers and references whose words repeat as in descriptions of images; a third of an answer's words come from
    its reference, and another third from what its group says.

    In 160 tokens of ImageInWords 85 are distinct, in 120 tokens 70; under this Zipf-Mandelbrot law 95 and 75.
    """
    draw = random.Random(1)
    weights = [1 / (rank + 2) ** 1.2 for rank in range(1, len(vocabulary) + 1)]
    pairs = []
    for _ in range(count // GROUP):
        reference = draw.choices(vocabulary, weights, k=REFERENCE_TOKENS)
        topic = draw.choices(vocabulary, weights, k=ANSWER_TOKENS // 2)
        for _ in range(GROUP):
            answer = draw.choices(vocabulary, weights, k=ANSWER_TOKENS - 2 * (ANSWER_TOKENS // 3))
            answer += draw.choices(reference, k=ANSWER_TOKENS // 3) + draw.choices(topic, k=ANSWER_TOKENS // 3)
            draw.shuffle(answer)
            pairs.append((" ".join(answer), " ".join(reference)))
    return pairs


def torch_bmas(table: Any, tokens: Callable[[str], Sequence[int]]) -> Callable[[str, str], float]:
    """BMAS as one writes it first: look up, normalise, multiply, maximum, mean; the same vocabulary and table."""
    import torch

    weight = torch.from_numpy(table.unit_rows(range(OPEN_ENDED_ROWS)))
    # An input table is not normalised; scaled rows make the comparison do that work as well.
    weight = weight * torch.linspace(0.5, 2.0, OPEN_ENDED_ROWS)[:, None]

    def score(answer: str, reference: str) -> float:
        with torch.no_grad():
            left = torch.nn.functional.normalize(weight[torch.tensor(tokens(answer))], dim=1)
            right = torch.nn.functional.normalize(weight[torch.tensor(tokens(reference))], dim=1)
            cosines = left @ right.T
            return float((cosines.amax(dim=1).mean() + cosines.amax(dim=0).mean()) / 2)

    return score


# A part yields its rows; it may write to the folder that it is given.
PARTS: dict[str, Callable[[float, Path], Iterable[Row]]] = {
    "matching": matching,
    "chart": chart,
    "iou": iou,
    "open_ended": open_ended,
    "manager": manager,
    "open_ended_memory": open_ended_memory,
}


def main(arguments: Sequence[str] | None = None) -> dict[str, list[Row]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"which of {', '.join(PARTS)}; all by default")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    args = parser.parse_args(arguments)
    if unknown := set(args.parts) - PARTS.keys():
        parser.error(f"unknown part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    results: dict[str, list[Row]] = {}
    for part in args.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            results[part] = []
            for row in PARTS[part](args.seconds, Path(folder)):
                results[part].append(row)
                print(
                    f"{row.name:<28} {row.value:>12,.{2 if row.unit in ('s', 'x') else 1}f} {row.unit:<12} {row.note}",
                    flush=True,
                )
    if args.json:
        args.json.write_text(json.dumps({part: [row._asdict() for row in rows] for part, rows in results.items()}))
    return results


if __name__ == "__main__":
    main()
