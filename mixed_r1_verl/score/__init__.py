"""`mixed-r1 score`: what the rewards say to files of responses, by source and reward."""
