"""What several tests of conversion need."""

import json

import pytest
from PIL import Image

from mixed_r1_verl.data import RawFolder


@pytest.fixture
def listed(tmp_path):
    """Writes records for the `listed` converter, with one picture of 40x20 pixels."""
    folder = tmp_path / "raw"
    folder.mkdir()
    Image.new("RGB", (40, 20), (9, 9, 9)).save(folder / "a.png")

    def write(*records) -> RawFolder:
        lines = [line if isinstance(line, str) else json.dumps(line) for line in records]
        (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return RawFolder(folder)

    return write
