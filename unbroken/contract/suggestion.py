"""A column that could be predicted where the one that is to be cannot."""

import pyarrow.compute as pc

from unbroken.config import DataConfig
from unbroken.contract.selection import read_head, select_columns, verdict
from unbroken.data.footers import Footer
from unbroken.data.kinds import KINDS, kind_of
from unbroken.data.schema import Column

MOST_TEXTS = 100
"""A text column of more values is hardly what somebody wants to predict."""


def other_label(footers: list[Footer], config: DataConfig) -> str | None:
    """Return the last column that could be predicted instead; None if there is none.

    Args:
        footers: Those of the files; the first one's columns count.
        config: Which columns are asked for.
    """
    arrow, files = footers[0].schema, tuple(footer.file for footer in footers)
    selection = select_columns(footers[0].file.name, arrow, config)
    unfit = {selection.label, *selection.left_out, *config.exclude}
    kinds = {field.name: kind_of(field.type) for field in arrow if field.name not in unfit}
    columns = [Column(name=name, kind=kind) for name, kind in kinds.items() if kind and KINDS[kind].label]
    head = read_head(files, [column.name for column in columns])
    for column in reversed(columns):
        values = head.column(column.name)
        most = MOST_TEXTS if column.coded else len(values)
        if not verdict(column, values, files) and 1 < pc.count_distinct(values).as_py() <= most:
            return column.name
    return None
