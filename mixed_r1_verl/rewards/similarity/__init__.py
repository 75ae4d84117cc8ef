"""How alike two texts are: the similarities between which the open-ended reward chooses, and what they are made of."""
