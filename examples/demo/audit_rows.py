"""Writes the rows that `mixed-r1 audit` attacks when it is given no file: 60 scenes of each kind, without pictures.

python -m examples.demo.audit_rows > mixed_r1_verl/audit/assets/rows.jsonl
"""

import json
from collections.abc import Iterator

from examples.demo.scenes import SIZE, make_scene

KINDS = ("chart", "iou", "matching", "open_ended")
ROWS_OF_KIND = 60


def lines() -> Iterator[str]:
    """One line of JSON a row, with the columns that an audit reads."""
    for kind in KINDS:
        for number in range(ROWS_OF_KIND):
            question = make_scene(kind, f"audit-{number}").question
            row = {
                "data_source": f"scenes_{kind}",
                "reward_model": {"ground_truth": question.answer},
                "extra_info": {
                    "reward": question.reward,
                    "question": question.text,
                    "choices": list(question.choices),
                    "width": SIZE,
                    "height": SIZE,
                },
            }
            yield json.dumps(row, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    print(*lines(), sep="", end="")
