"""The linear head that teaches a vision tower to see: what stands in each of the 16 cells of a picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.demo.scenes import COLORS, FORMS, GRID, MAX_VALUE, SIZE, BarChart, ShapePicture
from examples.demo.tiny.pixels import CELLS

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class CellLabels:
    """What stands in each of the 16 cells of a picture (28×28 pixels each, row by row).

    Attributes:
        color: 0 for nothing, else 1 + index in the sorted colours.
        form: 0 for nothing, else 1 + index in `FORMS`, 4 for a bar.
        edges: x1, y1, x2, y2 of the object in units of 14 pixels; -100 (ignored) where there is none or a bar.
        value: value of the bar; -100 elsewhere.
    """

    color: list[int]
    form: list[int]
    edges: list[list[int]]
    value: list[int]


def cell_labels(picture: ShapePicture | BarChart) -> CellLabels:
    """Labels of a picture; a cell that two objects share belongs to the one that covers more of it.

    Example:
        >>> from examples.demo.scenes import Box, Shape
        >>> labels = cell_labels(ShapePicture((Shape("circle", "red", Box(0, 0, 28, 28)),), (255, 255, 255)))
        >>> labels.form[:3], labels.edges[0]
        ([1, 0, 0], [0, 0, 2, 2])
    """
    palette = sorted(COLORS)
    labels = CellLabels([0] * CELLS, [0] * CELLS, [[-100] * 4 for _ in range(CELLS)], [-100] * CELLS)
    covered = [0] * CELLS
    if isinstance(picture, BarChart):
        bars = zip(picture.bars, picture.boxes(), strict=True)
        objects = [(bar.color, len(FORMS) + 1, box, bar.value) for bar, box in bars]
    else:
        objects = [(shape.color, FORMS.index(shape.form) + 1, shape.box, -100) for shape in picture.shapes]
    side, cell = math.isqrt(CELLS), 2 * GRID
    for color, form, box, value in objects:
        for index in range(CELLS):
            top, left = index // side * cell, index % side * cell
            width = min(box.x2, left + cell) - max(box.x1, left)
            height = min(box.y2, top + cell) - max(box.y1, top)
            if width > 0 and height > 0 and width * height > covered[index]:
                covered[index] = width * height
                labels.color[index] = palette.index(color) + 1
                labels.form[index] = form
                labels.edges[index] = [-100] * 4 if value > 0 else [round(edge / GRID) for edge in box]
                labels.value[index] = value
    return labels


class Sight:
    """The linear head of the first stage: logits of the cell labels from image tokens."""

    SIZES = (len(COLORS) + 1, len(FORMS) + 2, 4 * (SIZE // GRID + 1), MAX_VALUE + 1, CELLS)

    def __init__(self, width: int):
        import torch

        self.linear = torch.nn.Linear(width, sum(self.SIZES))

    def loss(self, tokens: "Tensor", labels: Sequence[CellLabels]) -> tuple["Tensor", dict[str, float]]:
        """Sum of the cross-entropies, and the share of right labels by name.

        Args:
            tokens: image tokens, float [n · 16, width].
            labels: of the n pictures.
        """
        import torch
        from torch.nn.functional import cross_entropy

        color, form, edges, value, place = self.linear(tokens).split(self.SIZES, -1)
        pairs = {
            "color": (color, torch.tensor([x.color for x in labels]).flatten()),
            "form": (form, torch.tensor([x.form for x in labels]).flatten()),
            "edges": (edges.reshape(-1, SIZE // GRID + 1), torch.tensor([x.edges for x in labels]).flatten()),
            "value": (value, torch.tensor([x.value for x in labels]).flatten()),
            "place": (place, torch.arange(CELLS).repeat(len(labels))),
        }
        occupied = pairs["color"][1] > 0
        total = torch.zeros(())
        right = {}
        for name, (logits, target) in pairs.items():
            if not bool((target >= 0).any()):
                continue
            total = total + cross_entropy(logits, target)
            counted = occupied if name in ("color", "form") else target >= 0
            right[name] = float((logits.argmax(-1) == target)[counted].float().mean())
        return total, right
