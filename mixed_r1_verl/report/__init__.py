"""`mixed-r1 report`: one HTML page of a run, with its curves and its rollouts, that needs no server."""
