"""A reward as a user writes it: a bare function with columns of its own."""


def closeness(answer: str, ground_truth: str, *, question: str, difficulty: int, unit: str = "") -> float:
    """The share of the ground truth's words that the answer holds, at half pay for easy questions."""
    words = set(f"{ground_truth} {unit}".lower().split())
    found = len(words & set(answer.lower().split())) / len(words)
    return found if difficulty > 1 else found / 2
