"""The data engine: from published datasets to a selected, mixed training set, by `mixed-r1 data build CONFIG`.

    convert -> describe -> duplicates -> decontaminate -> difficulty
        -> balance -> quotas -> mix -> write -> card

One file a stage; `build.py` puts them together. After `describe` stages work on small columns only (`rows.py`);
pictures stay in the converted files and are joined again by `write.py`.
"""
