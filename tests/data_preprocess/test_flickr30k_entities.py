"""Flickr30k Entities: the mark-up of a real sentence, annotations made up after the public description."""

import re

from mixed_r1_verl.data_preprocess.places import _PHRASE

SENTENCES = """[/EN#1/people A group of friends] playing [/EN#2/other cards] with [/EN#0/notvisual each other] .
[/EN#1/people Several men] in [/EN#3/scene a room] .
[/EN#1/people A group of friends] near [/EN#9/bodyparts/people their hands] .
"""
BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
ANNOTATION = f"""<annotation><filename>7.jpg</filename><size><width>40</width><height>20</height></size>
<object><name>1</name><name>9</name>{BOX.format(1, 1, 10, 20)}</object>
<object><name>1</name>{BOX.format(21, 5, 40, 20)}</object>
<object><name>2</name>{BOX.format(5, 5, 5, 5)}</object>
<object><name>3</name><scene>1</scene><nobndbox>1</nobndbox></object></annotation>"""


def test_phrases_become_rows(tmp_path, convert, picture):
    root = tmp_path / "raw"
    for folder in ("Sentences", "Annotations"):
        (root / "annotations" / folder).mkdir(parents=True)
    (root / "train.txt").write_text("7\n8\n")
    (root / "annotations" / "Sentences" / "7.txt").write_text(SENTENCES)
    (root / "annotations" / "Annotations" / "7.xml").write_text(ANNOTATION)
    picture(root / "flickr30k-images" / "7.jpg")
    result = convert("flickr30k_entities", root, "train")
    assert [(row["extra_info"]["question"], row["reward_model"]["ground_truth"]) for row in result.rows] == [
        ("Find a group of friends in the picture.", "[[0,0,10,20],[20,4,40,20]]"),
        ("Find several men in the picture.", "[[0,0,10,20],[20,4,40,20]]"),
        ("Find their hands in the picture.", "[[0,0,10,20]]"),
    ]
    assert [reject[2:] for reject in result.rejects] == [
        ("bndbox", "no_area"),
        ("bndbox", "no_box"),
        ("annotation", "unreadable"),
    ]


def test_mark_up_of_the_real_sample(raw_root):
    text = (raw_root / "flickr30k_entities" / "Flickr30k_Entities" / "data_samples.md").read_text(encoding="utf-8")
    assert len(_PHRASE.findall(text)) == len(re.findall(r"\[/EN#", text)) > 80
