"""Real runs of `python -m verl.trainer.main_ppo`, started as a user would start them and read from what verl wrote."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

HELPERS = Path(__file__).parent
KINDS = {"matching", "chart", "iou", "open_ended"}  # of the demo set
PEARSON = "training/rollout_actor_probs_pearson_corr"


@dataclass(frozen=True)
class Run:
    """One training run in a folder of its own."""

    folder: Path
    overrides: tuple[str, ...]
    recipe: tuple[str, ...] = ("+recipe=mixed_r1_cpu",)
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, *more: str) -> str:
        """Run to the end and return the console output; a failure fails the test with its last lines."""
        command = [
            *(sys.executable, "-m", "verl.trainer.main_ppo"),
            *self.recipe,
            "data.train_batch_size=8",
            "actor_rollout_ref.actor.ppo_mini_batch_size=8",
            "actor_rollout_ref.rollout.n=4",
            "data.max_response_length=48",
            "trainer.total_epochs=10",
            "trainer.test_freq=100",
            f"trainer.default_local_dir={self.folder}/checkpoints",
            f"trainer.validation_data_dir={self.folder}/validation",
            f"trainer.rollout_data_dir={self.folder}/rollouts",
            *self.overrides,
            *more,
        ]
        ran = subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "TENSORBOARD_DIR": str(self.folder / "tensorboard"),
                "PYTHONPATH": str(HELPERS),
                **self.environment,
            },
        )
        assert ran.returncode == 0, ran.stdout[-6000:]
        return ran.stdout

    def scalars(self, tag: str) -> dict[int, float]:
        events = EventAccumulator(str(self.folder / "tensorboard"))
        events.Reload()
        return {event.step: event.value for event in events.Scalars(tag)}

    def validation(self, step: int) -> list[dict]:
        text = (self.folder / "validation" / f"{step}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def weights(self, step: int) -> dict[str, torch.Tensor]:
        """The actor's parameters in the checkpoint of a step."""
        path = self.folder / "checkpoints" / f"global_step_{step}" / "actor" / "model_world_size_1_rank_0.pt"
        state = torch.load(path, weights_only=False)
        return {name: getattr(value, "_local_tensor", value) for name, value in state.items()}
