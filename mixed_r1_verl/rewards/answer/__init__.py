"""Reading answers: from the text of an answer block to typed values, without judging whether they are right."""
