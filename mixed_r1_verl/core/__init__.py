"""What several rooms need: configuration, files, rows, boxes, model families, the shell of the command line.

Nothing here knows of rewards, data sets, verl or torch.
"""
