"""Flickr8k: photographs with five captions each, for the open-ended reward.

Source: https://hockenmaier.cs.illinois.edu/Framing_Image_Description/KCCA.html. Licence: for research and education;
cite Hodosh, Young and Hockenmaier (2013).

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/Flickr8k.token.txt                       image.jpg#0<TAB>caption
    <input>/Flickr_8k.{train,dev,test}Images.txt     names, one a line
    <input>/[Images/]<image>

Raw row:

    1003163366_44323f5815.jpg#0<TAB>A man lays on a bench while his dog sits by him .

What each field becomes: one row a picture of the split; its captions, with the tokeniser's spaces taken out, are the
references. Quirk: one name is broken in the source (`2258277193_586949ec62.jpg.1`) and its row is rejected, since there
is no such picture.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import detokenise, stem

FILES = {"train": "trainImages", "dev": "devImages", "test": "testImages"}


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """One row a picture of the split, with all its captions; `all` takes every picture that has captions."""
    captions: dict[str, list[str]] = {}
    for _, line in raw.lines("Flickr8k.token.txt"):
        name, tab, caption = line.partition("\t")
        if tab and caption.strip():
            captions.setdefault(name.rpartition("#")[0], []).append(caption)
    if split == "all":
        names = list(captions)
    else:
        names = [line.strip() for _, line in raw.lines(f"Flickr_8k.{FILES[split]}.txt") if line.strip()]
    for name in dict.fromkeys(names):
        found = raw.locate(f"Images/{name}", name, f"Flicker8k_Dataset/{name}")
        yield Row(f"Flickr8k.token.txt#{name}", {"image": found, "captions": captions.get(name, [])})


def convert(row: Row) -> Example:
    references = list(dict.fromkeys(detokenise(caption) for caption in row.data["captions"]))
    if not references:
        raise RowError("caption", "missing", "the picture has no caption")
    return Example(
        id=stem(row.data["image"]),
        question="Describe the picture in one sentence.",
        reward="open_ended",
        answer=references_json(references),
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter(
        "flickr8k",
        rows,
        convert,
        ("train", "dev", "test", "all"),
        "research and education",
        "https://hockenmaier.cs.illinois.edu/Framing_Image_Description/KCCA.html",
    ),
)
