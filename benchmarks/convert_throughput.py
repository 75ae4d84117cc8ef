"""Conversion against a plain pyarrow copy of the same pictures: rows a second of both, their ratio, and peak memory.

    python benchmarks/convert_throughput.py --raw shared/data/raw --rows 45000 --workers 2

Needs a folder with real samples of the datasets below (see `docs/data.md`). Their rows are repeated until there are
enough, the four rewards in equal parts, each with an id of its own and altered pixels: of a JPEG one entry of the
quantisation table (file size and coded data stay what they were), of a PNG one pixel. The baseline reads the same files
and texts with plain Python and writes them with pyarrow into the same schema, compression and row groups, without
looking at them. Both run in fresh processes, one after the other; memory is that of the process with its workers.
"""

import argparse
import hashlib
import io
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import psutil
from PIL import Image

from mixed_r1_verl.core.boxes import format_boxes
from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.registry import get_converter
from mixed_r1_verl.data.schema import RowGroups

# By reward: converter, folder of the samples, split, further folder with pictures.
SOURCES = {
    "chart": (("chartqa", "chartqa_split", "test", None), ("tabmwp", "tabmwp", "dev1k", None)),
    "matching": (("clevr", "clevr_mini", "train", None), ("math_v", "math_v", "testmini", None)),
    "iou": (("raccoon", "raccoon", "all", None), ("coco_detection", "coco_mini", "val2017", None)),
    "open_ended": (
        ("coco_captions", "coco_captions", "val2017", "coco_mini"),
        ("opencqa", "opencqa", "test", None),
    ),
}


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    yield from raw.json_lines(f"{split}.jsonl")


def convert(row: Row) -> Example:
    value = dict(row.data)
    for key in ("images", "choices", "boxes", "box_size"):
        value[key] = tuple(value[key]) if value[key] is not None else None
    return Example(**value)


CONVERTER = Converter("repeated", rows, convert, ("train",), "that of the samples", "this benchmark")


def samples(raw_root: Path) -> Iterator[tuple[str, Example, Path]]:
    """Reward, example and picture of every usable row of the samples, rewards in turn, each repeated without end."""
    by_reward = {reward: cycle(list(_examples(raw_root, reward))) for reward in SOURCES}
    for reward in cycle(SOURCES):
        yield (reward, *next(by_reward[reward]))


def _examples(raw_root: Path, reward: str) -> Iterator[tuple[Example, Path]]:
    for name, folder, split, image_root in SOURCES[reward]:
        raw = RawFolder(raw_root / folder, (raw_root / image_root,) if image_root else ())
        converter = get_converter(name)
        for row in converter.rows(raw, split):
            try:
                example = converter.convert(row)
                path = raw.image(str(example.images[0]))
            except RowError:
                continue
            if example.reward == reward and len(example.images) == 1:
                yield example, path


def altered(data: bytes, number: int) -> bytes:
    """The same picture with other pixels, by number; small pictures come round again after some thousands."""
    if data[:2] == b"\xff\xd8":
        table = data.index(b"\xff\xdb") + 5
        place, step = 1 + number % 40, 1 + number // 40
        value = (data[table + place] - 1 + step) % 255 + 1
        return data[: table + place] + bytes([value]) + data[table + place + 1 :]
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        place = (number % image.width, number // image.width % image.height)
        pixel = image.getpixel(place)
        image.putpixel(place, pixel ^ 1 if isinstance(pixel, int) else (pixel[0] ^ 1, *pixel[1:]))
        buffer = io.BytesIO()
        image.save(buffer, image.format)
        return buffer.getvalue()


def _write_picture(source: Path, target: Path, number: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(altered(source.read_bytes(), number))


def generate(raw_root: Path, folder: Path, count: int) -> None:
    """Writes `count` rows as `train.jsonl` and their pictures."""
    targets = []
    with (folder / "train.jsonl").open("w", encoding="utf-8") as handle:
        for number, (_, example, path) in enumerate(islice(samples(raw_root), count)):
            name = f"{number // 1000:03d}/{number:06d}{path.suffix}"
            handle.write(json.dumps(asdict(example) | {"id": str(number), "images": [name]}) + "\n")
            targets.append((path, folder / name, number))
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_write_picture, *zip(*targets, strict=True), chunksize=200))


def copy(folder: Path, output: Path) -> None:
    """The baseline: files and texts into the same parquet, by plain Python and pyarrow."""
    with RowGroups(output, "bytes") as groups, (folder / "train.jsonl").open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            value = json.loads(line)
            data = (folder / value["images"][0]).read_bytes()
            truth = format_boxes([box[:4] for box in value["boxes"]]) if value["boxes"] else value["answer"]
            groups.add(
                {
                    "data_source": "repeated",
                    "prompt": [{"role": "user", "content": value["question"]}],
                    "images": [{"bytes": data, "path": value["images"][0]}],
                    "ability": value["reward"],
                    "reward_model": {"style": "rule", "ground_truth": truth},
                    "extra_info": {
                        "id": value["id"],
                        "split": "train",
                        "index": number,
                        "reward": value["reward"],
                        "choices": value["choices"],
                        "question": value["question"],
                        "width": 0,
                        "height": 0,
                    },
                }
            )


class Cost(NamedTuple):
    """What one run took: seconds without the start of Python, CPU seconds and peak resident MiB with its workers."""

    seconds: float
    cpu: float
    peak: float


def measured(*arguments: str) -> Cost:
    """The cost of this file run with other arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        total = 0
        try:
            for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                total += one.memory_info().rss
        except psutil.NoSuchProcess:  # one ended while it was looked at
            continue
        peak = max(peak, total)
        time.sleep(0.1)
    output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(float(output.split()[-1]), cpu, peak / 2**20)


def run_step(step: str, folder: Path, output: Path, workers: int) -> None:
    """One measurement in a process of its own; prints its seconds, without the start of Python."""
    start = time.perf_counter()
    if step == "copy":
        copy(folder, output)
    else:
        summary = convert_dataset(CONVERTER, RawFolder(folder), output, Options(workers=workers))
        print(f"  read {summary.read}, written {summary.written}, rejected {summary.reasons}", file=sys.stderr)
    print(time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, help="folder with the real samples")
    parser.add_argument("--rows", type=int, default=45_000)
    parser.add_argument("--few-rows", type=int, default=5_000, help="rows of the smaller run, for the memory")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the generated rows here, or use those that lie here")
    parser.add_argument("--step", choices=("copy", "convert"), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        run_step(arguments.step, arguments.raw, arguments.output, arguments.workers)
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.folder or Path(temporary)
        for count in (arguments.few_rows, arguments.rows):
            folder = work / str(count)
            if not (folder / "complete").exists():
                folder.mkdir(parents=True, exist_ok=True)
                generate(arguments.raw, folder, count)
                (folder / "complete").touch()
            copied: Cost | None = None
            for step, name in (("copy", "output.parquet"), ("convert", "output"), ("convert", "output.parquet")):
                output = Path(temporary) / name
                options = ("--step", step, "--raw", str(folder), "--output", str(output))
                cost = measured(*options, "--workers", str(arguments.workers))
                copied = copied or cost
                form = "one file" if output.is_file() else "shards"
                print(
                    f"{count:6d} rows  {step:7s} {form:8s} {cost.seconds:6.1f} s  {count / cost.seconds:6.0f} rows/s"
                    f"  ratio {copied.seconds / cost.seconds:4.2f}  {1000 * cost.cpu / count:5.2f} CPU ms a row"
                    f"  peak {cost.peak:5.0f} MiB",
                    flush=True,
                )
                shutil.rmtree(output) if output.is_dir() else output.unlink()
        paths = [path for path in folder.rglob("*") if path.suffix in (".png", ".jpg")]
        size = sum(path.stat().st_size for path in paths)
        distinct = len({hashlib.sha256(path.read_bytes()).digest() for path in paths})
        print(f"{len(paths)} pictures, {distinct} distinct, {size / len(paths) / 1024:.0f} KiB on average")


if __name__ == "__main__":
    main()
