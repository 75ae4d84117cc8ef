"""The format reward: was the response thought first and answered once, as the prompt asks."""

from mixed_r1_verl.rewards.extraction import ParsedResponse


def format_reward(response: ParsedResponse) -> float:
    """1.0 for exactly one non-empty think block followed by exactly one non-empty answer block, else 0.0.

    There are no partial marks: a share for a single tag pays for tags instead of for the format, and the first thing
    that a policy learns from it is to repeat them.

    Args:
        response: what `parse_response` made of the decoded response.

    Returns:
        1.0 or 0.0.

    >>> from mixed_r1_verl.rewards.extraction import parse_response
    >>> format_reward(parse_response("<think>Two cats.</think> <answer>2</answer>"))
    1.0
    >>> format_reward(parse_response("<think></think><answer>2</answer>"))
    0.0
    """
    return 1.0 if response.well_formed else 0.0
