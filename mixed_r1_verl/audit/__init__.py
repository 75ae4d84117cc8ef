"""`mixed-r1 audit`: can the rewards be earned without looking at the picture?"""
