"""`python -m examples.demo.tiny.warm_start --output DIR --seed 0`: the supervised warm start of the tiny Qwen2.5-VL.

Answers alone are too sparse to teach a vision tower to see: trained on them from random weights the model stays at
chance for a thousand steps. So it goes in three stages:

1. *See.* The vision tower learns, through a linear head that is thrown away afterwards, to say for each of its 16 image
   tokens what stands there: colour, form, the edges of its box, the value of its bar, and which of the 16 it is. The
   head stays on as a second loss.
2. *Read.* The whole model learns to find in the image tokens what is asked for. A quarter of the exercises are drills
   that look up everything in the picture, colour by colour; the rest are the four kinds of questions, most of them
   without prompt template and tags, half of the tokens, so that more steps fit into a minute.
3. *Answer.* The prompt format of the data: first after a teacher who knows the truth, then after one with habits
   (`examples.demo.tiny.teacher`), which leaves room for reinforcement learning.

Every picture is drawn afresh, so there is nothing to learn by heart. The same seed, library versions and number of
threads give the same weights.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.demo.scenes import GRID, SIZE, BarChart, ShapePicture
from examples.demo.tiny import qwen2_5_vl
from examples.demo.tiny.pixels import BEFORE_IMAGE, CELLS, positions, to_patches
from examples.demo.tiny.practice import (
    KINDS,
    Exercise,
    random_drill,
    random_exercise,
    random_picture,
    random_single_drill,
    random_single_shape,
    render_small,
)
from examples.demo.tiny.sight import Sight, cell_labels
from examples.demo.tiny.teacher import HABITS, NO_HABITS

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

_ROWS_TOGETHER = 16
COMMAND = "python -m examples.demo.tiny.warm_start"


@dataclass(frozen=True)
class Plan:
    """How the warm start is run.

    Attributes:
        see_steps, see_batch, see_rate: steps, pictures a step and peak learning rate of the first stage.
        read_steps, read_batch, read_rate: the same of the second stage.
        bare_share: share of its exercises that come without prompt template and tags.
        truth_steps, habit_steps: steps of the third stage after the true and after the sloppy teacher.
        answer_batch, answer_rate: exercises a step and peak learning rate of the third stage.
        see_weight: weight of the first stage's loss in the other two.
    """

    see_steps: int = 400
    see_batch: int = 64
    see_rate: float = 2e-3
    read_steps: int = 1000
    read_batch: int = 40
    read_rate: float = 2e-3
    bare_share: float = 0.85
    truth_steps: int = 300
    habit_steps: int = 120
    answer_batch: int = 32
    answer_rate: float = 1e-3
    see_weight: float = 0.1

    def steps(self, stage: str) -> int:
        """Number of steps of the stage `see`, `read` or `answer`."""
        return {"see": self.see_steps, "read": self.read_steps, "answer": self.truth_steps + self.habit_steps}[stage]


class Trainer:
    """Model, processor and head, and one method for each stage."""

    def __init__(self, seed: int, report: Callable[[dict[str, Any]], None]):
        import torch

        torch.manual_seed(seed)
        self.processor: Qwen2_5_VLProcessor = qwen2_5_vl.build_processor()
        self.model: Qwen2_5_VLForConditionalGeneration = qwen2_5_vl.build_model(self.processor, seed=seed)
        self.sight = Sight(self.model.lm_head.in_features)
        self.random = random.Random(f"mixed-r1 warm start {seed}")
        self.report = report
        tokenizer = self.processor.tokenizer
        head = "<|im_start|>user\n<|vision_start|>" + "<|image_pad|>" * CELLS + "<|vision_end|>"
        self._head: list[int] = tokenizer(head)["input_ids"]
        if self._head[BEFORE_IMAGE] != self.model.config.image_token_id:
            raise RuntimeError("the chat template no longer begins with four tokens before the picture")

    def see(self, plan: Plan) -> None:
        """First stage: the vision tower and the throwaway head."""
        parameters = [*self.model.model.visual.parameters(), *self.sight.linear.parameters()]
        for step in _steps("see", plan.see_steps, plan.see_rate, parameters, self.report):
            pictures, images = zip(*(self._draw() for _ in range(plan.see_batch)), strict=True)
            loss, right = self.sight.loss(self._image_tokens(images), [cell_labels(picture) for picture in pictures])
            step(loss, right)

    def read(self, plan: Plan) -> None:
        """Second stage: the whole model, mostly bare questions."""
        parameters = [*self.model.parameters(), *self.sight.linear.parameters()]
        for step in _steps("read", plan.read_steps, plan.read_rate, parameters, self.report):
            drills = plan.read_batch // 8
            exercises = self._exercises(plan.read_batch - 2 * drills, NO_HABITS)
            exercises = [_bare(x) if self.random.random() < plan.bare_share else x for x in exercises]
            exercises += [draw(self.random) for draw in (random_drill, random_single_drill) for _ in range(drills)]
            loss, right = self._answer_loss(exercises, plan.see_weight)
            step(loss, right)

    def answer(self, plan: Plan) -> None:
        """Third stage: the whole model, the data's prompts."""
        parameters = [*self.model.parameters(), *self.sight.linear.parameters()]
        steps = _steps("answer", plan.steps("answer"), plan.answer_rate, parameters, self.report)
        for number, step in enumerate(steps):
            habits = NO_HABITS if number < plan.truth_steps else HABITS
            loss, right = self._answer_loss(self._exercises(plan.answer_batch, habits), plan.see_weight)
            step(loss, right)

    def save(self, output: Path) -> None:
        """Writes model and processor."""
        self.model.save_pretrained(output)
        self.processor.save_pretrained(output)

    def _exercises(self, count: int, habits: Mapping[str, float]) -> list[Exercise]:
        return [random_exercise(KINDS[i % len(KINDS)], self.random, habits) for i in range(count)]

    def _draw(self) -> tuple[ShapePicture | BarChart, Any]:
        """A picture for the first stage: shapes, bars, and one in five like those of easy-VQA."""
        if self.random.random() < 0.2:
            single = random_single_shape(self.random)
            return single, render_small(single)
        picture = random_picture(self.random)
        return picture, picture.render()

    def _image_tokens(self, images: Sequence[Any]) -> "Tensor":
        import torch

        processor = self.processor.image_processor
        patches = to_patches(images, processor.image_mean, processor.image_std)
        grid = torch.tensor([[1, SIZE // GRID, SIZE // GRID]]).expand(len(images), 3)
        return self.model.model.visual(patches, grid_thw=grid).pooler_output

    def _answer_loss(self, exercises: Sequence[Exercise], see_weight: float) -> tuple["Tensor", dict[str, float]]:
        """Cross-entropy of the response's tokens plus the weighted loss of the head, and what was right."""
        import torch
        from torch.nn.functional import cross_entropy

        image_tokens = self._image_tokens([exercise.image for exercise in exercises])
        by_picture = image_tokens.view(len(exercises), CELLS, -1)
        tokenized = [self._tokenize(exercise) for exercise in exercises]
        order = sorted(range(len(exercises)), key=lambda i: len(tokenized[i][0]) + len(tokenized[i][1]))
        all_logits, all_targets = [], []
        whole: dict[int, bool] = {}
        # Sequences of like length together: little of the work is on padding.
        for start in range(0, len(order), _ROWS_TOGETHER):
            rows = order[start : start + _ROWS_TOGETHER]
            ids, asked = _pad([tokenized[row] for row in rows], self.processor.tokenizer.pad_token_id)
            logits = self._response_logits(ids, asked, by_picture[rows])
            target = ids[:, 1:][asked[:, 1:]]
            hits = torch.ones_like(ids, dtype=torch.bool)
            hits[:, 1:][asked[:, 1:]] = logits.argmax(-1) == target
            whole |= dict(zip(rows, hits.all(-1).tolist(), strict=True))
            all_logits.append(logits)
            all_targets.append(target)
        seeing, right = self.sight.loss(image_tokens, [cell_labels(exercise.scene.picture) for exercise in exercises])
        for kind in KINDS:
            # Share of the responses in which every token is the likeliest, given those before it.
            own = [whole[row] for row, exercise in enumerate(exercises) if exercise.scene.question.reward == kind]
            right[kind] = sum(own) / len(own)
        return cross_entropy(torch.cat(all_logits), torch.cat(all_targets)) + see_weight * seeing, right

    def _response_logits(self, ids: "Tensor", asked: "Tensor", image_tokens: "Tensor") -> "Tensor":
        """Logits [m, vocabulary] that predict the m response tokens.

        Args:
            ids: token ids [n, length], padded on the right.
            asked: which of them belong to the response.
            image_tokens: [n, 16, width].
        """
        import torch

        size, length = ids.shape
        language = self.model.model.language_model
        embedded = language.embed_tokens(ids)
        after = BEFORE_IMAGE + CELLS
        embedded = torch.cat([embedded[:, :BEFORE_IMAGE], image_tokens, embedded[:, after:]], 1)
        place = positions(length)[:, None].expand(3, size, length)
        # Padding stands after the response, where a causal model does not look.
        hidden = language(inputs_embeds=embedded, position_ids=place, use_cache=False).last_hidden_state
        return self.model.lm_head(hidden[:, :-1][asked[:, 1:]])

    def _tokenize(self, exercise: Exercise) -> tuple[list[int], list[int]]:
        """Token ids of the prompt, image tokens included, and of the response."""
        tokenizer = self.processor.tokenizer
        question = exercise.prompt.removeprefix("<image>") + "<|im_end|>\n<|im_start|>assistant\n"
        return self._head + tokenizer(question)["input_ids"], tokenizer(exercise.response + "<|im_end|>")["input_ids"]


def _pad(pairs: Sequence[tuple[list[int], list[int]]], padding: int) -> tuple["Tensor", "Tensor"]:
    """Token ids [n, length] of prompts and responses, padded on the right, and which of them are response."""
    import torch

    length = max(len(prompt) + len(response) for prompt, response in pairs)
    ids = torch.full((len(pairs), length), padding)
    asked = torch.zeros(len(pairs), length, dtype=torch.bool)
    for row, (prompt, response) in enumerate(pairs):
        ids[row, : len(prompt) + len(response)] = torch.tensor(prompt + response)
        asked[row, len(prompt) : len(prompt) + len(response)] = True
    return ids, asked


def _bare(exercise: Exercise) -> Exercise:
    """The same exercise without the prompt template and without tags: half of the tokens, all of the matter."""
    response = exercise.response.replace("<think>", "").replace("</think><answer>", " ").replace("</answer>", "")
    return replace(exercise, prompt="<image>\n" + exercise.scene.question.text, response=response)


def _steps(
    stage: str,
    count: int,
    rate: float,
    parameters: "Sequence[nn.Parameter]",
    report: Callable[[dict[str, Any]], None],
) -> Iterator[Callable[["Tensor", dict[str, float]], None]]:
    """Yields `count` functions that each take a loss and make one AdamW step; cosine decay after a short warm-up."""
    import torch

    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    started = time.perf_counter()
    for number in range(count):
        factor = min(1.0, (number + 1) / 30) * max(0.05, 0.5 * (1 + math.cos(math.pi * number / count)))
        for group in optimizer.param_groups:
            group["lr"] = rate * factor

        def step(loss: "Tensor", measured: dict[str, float], number: int = number) -> None:
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            if number % 25 == 24 or number == count - 1:
                rounded = {name: round(value, 3) for name, value in measured.items()}
                seconds = round(time.perf_counter() - started, 1)
                report(
                    {"stage": stage, "step": number + 1, "seconds": seconds, "loss": round(loss.item(), 4), **rounded}
                )
            else:
                report({})

        yield step


def warm_start(output: Path, *, seed: int = 0, threads: int | None = None, plan: Plan | None = None) -> dict[str, Any]:
    """Runs the three stages and writes the checkpoint, with `log.json` beside it.

    Args:
        output: directory for model, processor and log.
        seed: of the weights and of the exercises.
        threads: threads of PyTorch; None leaves its choice. The result depends on the number in the last digits.
        plan: steps, batches and learning rates; None is the plan of the shipped checkpoint.

    Returns:
        What `log.json` holds: command, seed, plan, teacher's habits, versions, seconds by stage and the curves.
    """
    import torch
    import transformers
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    plan = plan or Plan()
    if threads:
        torch.set_num_threads(threads)
    curves: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    columns = (TextColumn("{task.description:>7}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[measured]}")) as progress:

        def report(record: dict[str, Any]) -> None:
            progress.advance(task)
            if record:
                curves.append(record)
                progress.update(task, measured=f"loss {record['loss']:.3f}")
                if not progress.console.is_terminal:
                    print(json.dumps(record), flush=True)

        trainer = Trainer(seed, report)
        stages = (("see", trainer.see), ("read", trainer.read), ("answer", trainer.answer))
        for name, stage in stages:
            started = time.perf_counter()
            task = progress.add_task(name, total=plan.steps(name), measured="")
            stage(plan)
            seconds[name] = round(time.perf_counter() - started, 1)
    trainer.save(output)
    log = {
        "command": f"{COMMAND} --output DIR --seed {seed}",
        "seed": seed,
        "plan": asdict(plan),
        "habits": dict(HABITS),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "seconds": seconds,
        "curves": curves,
    }
    (output / "log.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
    return log


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="Builds the tiny Qwen2.5-VL and teaches it to see and to answer (some twenty minutes on one core).",
        epilog=f"Example: {COMMAND} --output outputs/tiny-qwen2_5_vl --seed 0",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="threads of PyTorch (default: its own choice)")
    arguments = parser.parse_args(argv)
    log = warm_start(arguments.output, seed=arguments.seed, threads=arguments.threads)
    print(f"{arguments.output}: {', '.join(f'{name} {seconds:.0f} s' for name, seconds in log['seconds'].items())}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
