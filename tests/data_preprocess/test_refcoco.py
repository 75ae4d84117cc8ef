"""RefCOCO's original form: a made-up folder after the public description of the `refer` tools."""

import json
import pickle

import pytest

from mixed_r1_verl.core.rows import DataError

IMAGES = [{"id": 9, "file_name": "COCO_train2014_000000000009.jpg", "width": 40, "height": 20}]
ANNOTATIONS = [{"id": 5, "bbox": [10.5, 2, 20, 10]}, {"id": 6, "bbox": [30, 2, 20, 10]}]
SENTENCES = [{"sent_id": 11, "sent": "the lady", "raw": "THE LADY"}, {"sent_id": 12, "sent": "woman."}]
REFERENCE = {"ref_id": 0, "ann_id": 5, "image_id": 9, "split": "train", "sentences": SENTENCES}
REFERENCES = [
    REFERENCE,
    REFERENCE | {"split": "testA"},
    REFERENCE | {"ann_id": 6, "sentences": [{"sent_id": 13, "sent": "who"}]},
    REFERENCE | {"ann_id": 7, "sentences": [{"sent_id": 14, "sent": "who"}]},
    REFERENCE | {"sentences": [{"sent_id": 15}]},
    "not a reference",
]


def make_folder(folder, picture, references, protocol=0):
    picture(folder / "train2014" / "COCO_train2014_000000000009.jpg")
    (folder / "refcoco+").mkdir()
    (folder / "refcoco+" / "instances.json").write_text(json.dumps({"images": IMAGES, "annotations": ANNOTATIONS}))
    (folder / "refcoco+" / "refs(unc).p").write_bytes(pickle.dumps(references, protocol=protocol))


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_every_sentence_is_a_row(tmp_path, convert, picture, protocol):
    make_folder(tmp_path / "raw", picture, REFERENCES, protocol)
    result = convert("refcoco_plus", tmp_path / "raw", "train")
    assert [
        (row["extra_info"]["id"], row["extra_info"]["question"], row["reward_model"]["ground_truth"])
        for row in result.rows
    ] == [
        ("refcoco_plus/train/11", "Where is the lady?", "[[10.5,2,30.5,12]]"),
        ("refcoco_plus/train/12", "Where is woman?", "[[10.5,2,30.5,12]]"),
    ]
    assert [reject[2:] for reject in result.rejects] == [
        ("boxes", "outside_image"),
        ("bbox", "missing"),
        ("sent", "missing"),
        ("record", "not_an_object"),
    ]


@pytest.mark.parametrize("content", [{"a": 1}, len], ids=["not_a_list", "a_function"])
def test_other_pickles_are_refused(tmp_path, convert, picture, content):
    make_folder(tmp_path / "raw", picture, content)
    with pytest.raises(DataError, match=r"refs\(unc\)\.p"):
        convert("refcoco_plus", tmp_path / "raw", "train")
