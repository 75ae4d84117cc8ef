"""Mixed-R1 (arXiv 2505.24164) for verl: one reward manager for many kinds of vision-language task.

`compute_score` needs neither verl nor Ray nor torch, and none of them is imported with the package.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["compute_score"]


def __getattr__(name: str) -> Any:
    # Imported on first use: this package is also imported at interpreter start and in every Ray process.
    if name == "compute_score":
        from mixed_r1_verl.rewards.mixed import compute_score

        return compute_score
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
