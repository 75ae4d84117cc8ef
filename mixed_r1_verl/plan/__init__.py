"""`mixed-r1 plan`: what a recipe needs on the GPUs that one has, before any of them is paid for."""
