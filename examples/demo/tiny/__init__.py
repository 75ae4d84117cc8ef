"""Tiny vision-language models of the real classes, for tests and for the demo."""

from pathlib import Path

WARM_STARTED = Path(__file__).parent / "assets" / "qwen2_5_vl"
"""The warm-started tiny Qwen2.5-VL that comes with the repository; `log.json` in it says how it was made."""
