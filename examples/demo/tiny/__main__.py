"""`python -m examples.demo.tiny {qwen2_5_vl,qwen3_vl,internvl} --output DIR`: a tiny model with random weights."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from examples.demo.tiny import internvl, qwen2_5_vl, qwen3_vl

FAMILIES = {"qwen2_5_vl": qwen2_5_vl.build, "qwen3_vl": qwen3_vl.build, "internvl": internvl.build}


def main(argv: Sequence[str] | None = None) -> int:
    """Builds the model that the command line names and prints where it lies."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo.tiny",
        description="Builds a tiny model with random weights, its tokenizer and its processor.",
        epilog="Example: python -m examples.demo.tiny internvl --output outputs/tiny-internvl",
    )
    parser.add_argument("family", choices=sorted(FAMILIES))
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    print(FAMILIES[arguments.family](arguments.output, seed=arguments.seed))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
