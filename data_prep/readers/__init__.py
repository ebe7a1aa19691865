"""Readers: one file a data set, one line here.

A reader knows where a data set keeps its files, what they hold and in which units; it knows nothing
of grids or of the prepared set (`data_prep.readers.base` states what it offers).
"""

from data_prep.readers.base import Frame, Reader
from data_prep.readers.synwoodscape import SynWoodScapeReader

READERS: dict[str, type[Reader]] = {
    "synwoodscape": SynWoodScapeReader,
}

__all__ = ["READERS", "Frame", "Reader", "SynWoodScapeReader"]
