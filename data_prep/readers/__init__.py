"""Readers: one file a data set, one line here.

A reader knows where a data set keeps its files, what they hold and in which units; it knows nothing
of grids or of the prepared set (`data_prep.readers.base` states what it offers). Readers of images
take the decoding from `data_prep.readers.images.ImageReader` and say where the files lie.
"""

from data_prep.readers.base import Frame, Reader
from data_prep.readers.folder import FolderReader
from data_prep.readers.healpix import HealpixReader
from data_prep.readers.kitti360 import Kitti360Reader
from data_prep.readers.panorama import PanoramaReader
from data_prep.readers.synwoodscape import SynWoodScapeReader
from data_prep.readers.woodscape import WoodScapeReader

READERS: dict[str, type[Reader]] = {
    "woodscape": WoodScapeReader,
    "synwoodscape": SynWoodScapeReader,
    "kitti360": Kitti360Reader,
    "folder": FolderReader,
    "panorama": PanoramaReader,
    "healpix": HealpixReader,
}

__all__ = [
    "READERS",
    "FolderReader",
    "Frame",
    "HealpixReader",
    "Kitti360Reader",
    "PanoramaReader",
    "Reader",
    "SynWoodScapeReader",
    "WoodScapeReader",
]
