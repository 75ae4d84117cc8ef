"""Quality of the open-ended reward: does it tell captions apart, can it be gamed, does it agree with people?

    python benchmarks/open_ended_quality.py --embedding-model MODEL_DIR \
        --multi30k DIR --imageinwords DIR --flickr8k DIR --human DIR [--images 400] [--anchors] [--json FILE]

Every data directory is optional; what is absent is skipped with a line that says so. MODEL_DIR is a Hugging Face model
(the tables in docs/rewards-open-ended.md use all-MiniLM-L6-v2); without it only the built-in table is measured.
`--anchors` adds contextual models as upper anchors (needs sentence-transformers; minutes on a CPU).
Needs no accelerator. Writes nothing but the file named by --json.

Layouts: multi30k holds val.1.en ... val.5.en (line n of each describes image n); imageinwords holds
datasets/*/data.jsonl; flickr8k holds Flickr8k.token.txt and ExpertAnnotations.txt; human holds pascal50s.json (category
to rows of captions, references, label), flickr8k_expert.json (image to ground_truth, human_judgement) and thumb.jsonl
(hyp, refs, SYS, human_score).
"""

import argparse
import json
import random
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, pearsonr, rankdata

from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.variants import VARIANTS
from mixed_r1_verl.rewards.similarity.words import FUNCTION_WORDS

Scorer = Callable[[str, str], float]
MAX_TOKENS = 1024

# Answers that were written without seeing the picture.
REFERENCE_FREE = {
    "the word 'a'": "a",
    "stop words": "the a of in on and with is at to for by an it that this as from",
    "generic": "A group of people standing outside in front of a building.",
    "3 generic": "A group of people standing outside. A woman is sitting at a table. A dog runs through the grass.",
    "nouns": "man woman dog street shirt people boy girl ball water grass table building car tree",
    "dots": ". . . . .",
    "question": "Describe the image in detail. What is shown in this picture?",
}


class Pairs:
    """Texts of one data set, arranged for the measurement.

    Attributes:
        references: the ground truth of each item.
        honest: another description of the same picture.
        unrelated: a description of another picture.
        common: the 100 commonest words of the set, as a text.
        dump: 40 words drawn from its vocabulary.
    """

    def __init__(self, groups: Sequence[Sequence[str]], seed: int) -> None:
        draw = random.Random(seed)
        self.references, self.honest, self.unrelated = [], [], []
        for place, texts in enumerate(groups):
            reference, honest = draw.sample(range(len(texts)), 2)
            other = (place + draw.randrange(1, len(groups))) % len(groups)
            self.references.append(texts[reference])
            self.honest.append(texts[honest])
            self.unrelated.append(groups[other][honest % len(groups[other])])
        counts = Counter(word for texts in groups for text in texts for word in re.findall(r"[a-z']+", text.lower()))
        self.common = " ".join(word for word, _ in counts.most_common(100))
        self.dump = " ".join(draw.sample(sorted(word for word, count in counts.items() if count > 2), 40))

    def answers(self) -> dict[str, list[str]]:
        """Every kind of answer, one text an item."""
        free = {**REFERENCE_FREE, "100 words": self.common}
        return {
            "honest": self.honest,
            "unrelated": self.unrelated,
            **{name: [text] * len(self.references) for name, text in free.items()},
            "honest x5": [" ".join([text] * 5) for text in self.honest],
            "honest+dump": [f"{text} {self.dump}" for text in self.honest],
            "true words": [content_words(text) for text in self.honest],
            "sorted": [" ".join(sorted(text.lower().split())) for text in self.honest],
            "half": [" ".join(text.split()[: (len(text.split()) + 1) // 2]) for text in self.honest],
        }


def content_words(text: str) -> str:
    """The words of a caption without its grammar: what a list of true keywords looks like."""
    words = re.findall(r"[\w'-]+", text.lower())
    return " ".join(word for word in words if word not in FUNCTION_WORDS) or "nothing"


def read_multi30k(folder: Path, images: int) -> list[list[str]]:
    files = [folder.joinpath(f"val.{number}.en").read_text(encoding="utf-8").splitlines() for number in range(1, 6)]
    return [list(texts) for texts in zip(*files, strict=True)][: images or None]


def read_imageinwords(folder: Path) -> list[list[str]]:
    groups = []
    for path in sorted(folder.glob("datasets/*/data.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts = [row[key] for key in ("IIW", "DOCCI", "IIW-P5B") if row.get(key)]
            if len(texts) > 1:
                groups.append(texts[:2])
    return groups


def read_flickr8k(folder: Path) -> list[tuple[str, list[str], list[int]]]:
    """Judged candidates: text, references of the image, three marks. Candidates among the references are left out."""
    captions: dict[str, str] = {}
    references: dict[str, list[str]] = defaultdict(list)
    for line in folder.joinpath("Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        key, caption = line.split("\t")
        captions[key] = caption
        references[key.split("#")[0]].append(caption)
    judged = []
    for line in folder.joinpath("ExpertAnnotations.txt").read_text(encoding="utf-8").splitlines():
        image, candidate, *marks = line.split("\t")
        if candidate.split("#")[0] != image:
            judged.append((captions[candidate], references[image], [int(mark) for mark in marks]))
    return judged


def area_under_curve(honest: Sequence[float], unrelated: Sequence[float]) -> float:
    """Probability that an honest answer outscores an unrelated one; ties count half."""
    ranks = rankdata([*honest, *unrelated])[: len(honest)]
    return float((ranks.sum() - len(honest) * (len(honest) + 1) / 2) / (len(honest) * len(unrelated)))


def measure_attacks(scorer: Scorer, pairs: Pairs) -> dict[str, float]:
    """AUC and the mean score of every kind of answer."""
    scores = {
        name: [scorer(answer, reference) for answer, reference in zip(answers, pairs.references, strict=True)]
        for name, answers in pairs.answers().items()
    }
    return {
        "AUC": area_under_curve(scores["honest"], scores["unrelated"]),
        **{name: statistics.fmean(values) for name, values in scores.items()},
    }


def measure_agreement(scorer: Scorer, judged: list[tuple[str, list[str], list[int]]]) -> dict[str, float]:
    """Kendall's tau-c with all single judgments, for the mean and for the best of the references."""
    scores = [[scorer(candidate, reference) for reference in references] for candidate, references, _ in judged]
    marks = [mark for *_, three in judged for mark in three]
    return {
        name: float(kendalltau(np.repeat([combine(row) for row in scores], 3), marks, variant="c").statistic)
        for name, combine in (("mean", statistics.fmean), ("max", max))
    }


def measure_human(scorer: Scorer, folder: Path) -> dict[str, float]:
    """Agreement with people on three published sets; a caption's score is its mean over the references.

    PASCAL-50S: share of pairs in which the caption that people prefer scores higher, ties one half, by category and
    on average. Flickr8k-Expert: Kendall's tau-c. THumB: Pearson's r, without and with the captions that people wrote.
    """

    def score(caption: str, references: Sequence[str]) -> float:
        return statistics.fmean(scorer(caption, reference) for reference in references)

    found = {}
    pascal = json.loads(folder.joinpath("pascal50s.json").read_text(encoding="utf-8"))
    for category in ("HC", "HI", "HM", "MM"):
        wins = []
        for row in pascal[category]:
            first, second = (score(caption, row["references"]) for caption in row["captions"])
            wins.append(0.5 if first == second else float((second > first) == row["label"]))
        found[category] = statistics.fmean(wins)
    found["PASCAL-50S"] = statistics.fmean(found.values())
    scores, marks = [], []
    for image in json.loads(folder.joinpath("flickr8k_expert.json").read_text(encoding="utf-8")).values():
        captions = {judged["caption"] for judged in image["human_judgement"]}
        known = {caption: score(caption, image["ground_truth"]) for caption in captions}
        scores += [known[judged["caption"]] for judged in image["human_judgement"]]
        marks += [judged["rating"] for judged in image["human_judgement"]]
    found["Flickr8k tau-c"] = float(kendalltau(scores, marks, variant="c").statistic)
    rows = [json.loads(line) for line in folder.joinpath("thumb.jsonl").read_text(encoding="utf-8").splitlines()]
    judged = [(row["SYS"], score(row["hyp"], row["refs"]), row["human_score"]) for row in rows]
    for name, chosen in (("machines", [row for row in judged if row[0] != "Human"]), ("all", judged)):
        found[f"THumB r, {name}"] = float(pearsonr(*zip(*(row[1:] for row in chosen), strict=True)).statistic)
    return found


def build_scorers(model: str | None, cache_dir: str | None, texts: list[str], anchors: bool) -> dict[str, Scorer]:
    """All rewards that are compared, by the name of their row."""

    def variant(name: str, table: EmbeddingTable) -> Scorer:
        return lambda answer, reference: VARIANTS[name](answer, reference, table, MAX_TOKENS)

    letters = EmbeddingTable.load(None)
    scorers = {"robust, no model": variant("robust", letters)}
    if model is None:
        print("skipped: rows that need a model's table (no --embedding-model)")
    else:
        table = EmbeddingTable.load(model, cache_dir)
        scorers = {name: variant(name, table) for name in ("robust", "bmas", "bmas_f1")} | scorers
    for name, package in (("rouge_l", "rouge_score"), ("bleu", "sacrebleu")):
        try:
            __import__(package)
        except ImportError:
            print(f"skipped: {name} (package {package} is not installed)")
        else:
            scorers[name] = variant(name, letters)
    if "rouge_l" in scorers:
        from rouge_score.rouge_scorer import RougeScorer

        rouge = RougeScorer(["rouge1"], use_stemmer=True)
        scorers["rouge_1"] = lambda answer, reference: rouge.score(reference, answer)["rouge1"].fmeasure
    if anchors and model is not None:
        scorers |= contextual_scorers(model, texts)
    return scorers


def contextual_scorers(model: str, texts: list[str]) -> dict[str, Scorer]:
    """BERTScore (greedy matching of contextual embeddings, F1) and sentence cosine of one encoder: upper anchors."""
    try:
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError:
        print("skipped: anchors (package sentence-transformers is not installed)")
        return {}
    encoder = SentenceTransformer(model, device="cpu")
    unique = sorted(set(texts))
    sentences = dict(zip(unique, encoder.encode(unique, normalize_embeddings=True), strict=True))
    with torch.no_grad():
        rows = encoder.encode(unique, output_value="token_embeddings", convert_to_numpy=False)
    # Without the first and last token, which are marks.
    tokens = {t: torch.nn.functional.normalize(row[1:-1], dim=1).numpy() for t, row in zip(unique, rows, strict=True)}

    def bert_score(answer: str, reference: str) -> float:
        if not len(tokens[answer]) or not len(tokens[reference]):
            return 0.0
        cosines = tokens[answer] @ tokens[reference].T
        precision, recall = cosines.max(axis=1).mean(), cosines.max(axis=0).mean()
        return float(2 * precision * recall / (precision + recall))

    return {
        "BERTScore, contextual": bert_score,
        "sentence cosine": lambda answer, reference: float(sentences[answer] @ sentences[reference]),
    }


def print_attacks(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}\nmean score; in brackets the way from unrelated (0) to honest (1), for attacks")
    columns = list(next(iter(rows.values())))
    width = max(map(len, rows))
    print(" " * width, *(f"{column:>13}" for column in columns))
    for name, row in rows.items():
        way = row["honest"] - row["unrelated"]
        cells = []
        for column in columns:
            if column in ("AUC", "honest", "unrelated"):
                cells.append(f"{row[column]:.3f}")
            else:
                cells.append(f"{row[column]:.3f} ({(row[column] - row['unrelated']) / way:+.2f})")
        print(f"{name:<{width}}", *(f"{cell:>13}" for cell in cells))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embedding-model", help="directory or hub id of the model whose table is used")
    parser.add_argument("--cache-dir", help="where the prepared table is kept")
    parser.add_argument("--multi30k", type=Path)
    parser.add_argument("--imageinwords", type=Path)
    parser.add_argument("--flickr8k", type=Path)
    parser.add_argument("--human", type=Path)
    parser.add_argument("--images", type=int, default=400, help="images of Multi30k, from the first; 0 is all")
    parser.add_argument("--seed", type=int, default=0, help="draws the references and the unrelated captions")
    parser.add_argument("--anchors", action="store_true", help="add contextual models")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    args = parser.parse_args(arguments)

    sets: dict[str, Pairs] = {}
    for name, folder, read in (
        ("Multi30k", args.multi30k, lambda path: read_multi30k(path, args.images)),
        ("ImageInWords", args.imageinwords, read_imageinwords),
    ):
        if folder is None or not folder.is_dir():
            print(f"skipped: {name} ({'no directory given' if folder is None else f'{folder} is absent'})")
        else:
            sets[name] = Pairs(read(folder), args.seed)
    judged = []
    if args.flickr8k is None or not args.flickr8k.is_dir():
        print(f"skipped: Flickr8k ({'no directory given' if args.flickr8k is None else f'{args.flickr8k} is absent'})")
    else:
        judged = read_flickr8k(args.flickr8k)

    texts = [text for pairs in sets.values() for answers in pairs.answers().values() for text in answers]
    texts += [text for pairs in sets.values() for text in pairs.references]
    texts += [text for candidate, references, _ in judged for text in (candidate, *references)]
    scorers = build_scorers(args.embedding_model, args.cache_dir, texts, args.anchors)

    results: dict[str, Any] = {}
    for name, pairs in sets.items():
        results[name] = {row: measure_attacks(scorer, pairs) for row, scorer in scorers.items()}
        print_attacks(f"{name}, {len(pairs.references)} items, one reference each", results[name])
    if judged:
        results["Flickr8k"] = {row: measure_agreement(scorer, judged) for row, scorer in scorers.items()}
        print(f"\nFlickr8k, {len(judged)} candidates x 3 experts: Kendall tau-c, mean and best of five references")
        for row, taus in results["Flickr8k"].items():
            print(f"{row:<24} {taus['mean']:.3f} {taus['max']:.3f}")
    if args.human is None or not args.human.is_dir():
        print(f"skipped: human sets ({'no directory given' if args.human is None else f'{args.human} is absent'})")
    else:
        results["human"] = {row: measure_human(scorer, args.human) for row, scorer in scorers.items()}
        print("\nPASCAL-50S (four categories and their mean), Flickr8k-Expert, THumB; mean over the references")
        for row, found in results["human"].items():
            print(f"{row:<24}", *(f"{name} {value:.3f}" for name, value in found.items()), sep="  ")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2), encoding="utf-8")
    return results


if __name__ == "__main__":
    main()
