"""Camera models: where a ray meets the image and back.

Camera axes are x right, y down, z forward; pixel (0, 0) is the centre of the upper left pixel, so
the image covers -0.5 <= u <= width - 0.5. theta is the angle to the optical axis and phi =
atan2(y, x). Everything is float64 numpy; a direction or pixel without an image is not a number,
never a neighbouring value.

A camera model is one file with one frozen class that satisfies `Camera`, and one line in
`CAMERA_MODELS`.
"""

from healswin.cameras.base import POLES, Camera, pole_rotation, quaternion_to_matrix
from healswin.cameras.calibration import CAMERA_MODELS, camera_from_dict, read_calibration
from healswin.cameras.equirectangular import EquirectangularCamera
from healswin.cameras.kannala_brandt import KannalaBrandtCamera
from healswin.cameras.pinhole import PinholeCamera
from healswin.cameras.radial_polynomial import RadialPolynomialCamera
from healswin.cameras.unified import UnifiedCamera

__all__ = [
    "CAMERA_MODELS",
    "POLES",
    "Camera",
    "EquirectangularCamera",
    "KannalaBrandtCamera",
    "PinholeCamera",
    "RadialPolynomialCamera",
    "UnifiedCamera",
    "camera_from_dict",
    "pole_rotation",
    "quaternion_to_matrix",
    "read_calibration",
]
