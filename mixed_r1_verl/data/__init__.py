"""From published datasets to parquet files that verl reads, and checking such files.

These names are all that a converter needs, beside the readers of fields in `mixed_r1_verl.data.fields`; importing them
loads neither NumPy nor pyarrow. Converting is `mixed_r1_verl.data.convert.convert_dataset`, checking
`mixed_r1_verl.data.check.check_files`.
"""

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.rows import DataError, RowError
from mixed_r1_verl.data.converter import Converter, Example, references_json
from mixed_r1_verl.data.raw import RawFolder, Row

__all__ = ["Box", "Converter", "DataError", "Example", "RawFolder", "Row", "RowError", "references_json"]
