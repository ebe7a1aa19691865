"""Image <-> grid, both directions in one place, maps onto grids of another nside, points of depth.

Tables are made once for a camera and a grid, in float64; applying them to an image is OpenCV's
``remap`` or a gather, and sums over whole arrays. Values are never truncated: 8-bit results are
rounded to the nearest integer, and pixels whose ray leaves the image within half a pixel of its
border take the border's value instead of being mixed with black. The left and right border of a
panorama of the full circle are neighbours.
"""

from healswin.resample.flat import FlatToGrid, FlatToImage, ImageToFlat
from healswin.resample.grid_to_image import GridToImage
from healswin.resample.image_to_grid import ImageToGrid
from healswin.resample.map_to_grid import HealpixMap, MapToGrid
from healswin.resample.points import DepthToPoints

__all__ = [
    "DepthToPoints",
    "FlatToGrid",
    "FlatToImage",
    "GridToImage",
    "HealpixMap",
    "ImageToFlat",
    "ImageToGrid",
    "MapToGrid",
]
