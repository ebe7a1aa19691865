"""Reading calibration files.

`read_calibration` knows four kinds and tells them apart by what is in them:

| kind | suffix | known by |
|---|---|---|
| WoodScape, and what `to_dict` makes | .json, .yaml, .yml | a section `intrinsic` |
| KITTI-360 and camodocal, model MEI | .yaml, .yml | `model_type` |
| OpenCV | .yaml, .yml | `K` or `camera_matrix`, each with rows, cols and data |
| ROS camera_info | .yaml, .yml | the same |

The structure of our own files, in JSON or YAML, is this; `extrinsic` and `name` may be missing, and
so may width and height where the image's size is known otherwise:

    name: FV
    extrinsic:
      quaternion: [-0.5, 0.5, -0.5, 0.5]      # x, y, z, w: turns camera axes (x right, y down,
                                              # z forward) into vehicle axes (forward, left, up)
      translation: [3.7, 0.0, 0.7]            # in vehicle axes, metres
    intrinsic:
      model: kannala_brandt
      width: 1280
      height: 960
      ...                                     # the model's own entries

and the entries of each model, all in pixels where nothing else is said:

    model: radial_poly                        # WoodScape; k1 ... kn in pixels / radian^i
    cx_offset: 3.9
    cy_offset: -2.2
    aspect_ratio: 1.0                         # 1 where missing
    poly_order: 4                             # 4 where missing
    k1: 339.7
    k2: -31.9
    k3: 48.2
    k4: -7.2
    max_theta: 1.7                            # radians; may be missing: the end of the field

    model: kannala_brandt                     # OpenCV's fisheye
    fx: 390.0
    fy: 390.0
    cx: 639.5
    cy: 479.5
    k1: 0.05
    k2: 0.01
    k3: 0.0
    k4: 0.0
    max_theta: 1.7                            # may be missing, as for the next two

    model: unified                            # Mei: fx, fy are gamma1, gamma2; cx, cy are u0, v0
    fx: 1336.3
    fy: 1335.8
    cx: 716.9
    cy: 705.8
    xi: 2.2134
    k1: 0.0168
    k2: 1.6549
    p1: 0.00042
    p2: 0.00042

    model: pinhole                            # Brown-Conrady, OpenCV's order
    fx: 960.0
    fy: 957.0
    cx: 640.2
    cy: 355.8
    k1: -0.36
    k2: 0.17
    p1: 0.0001
    p2: -0.0002
    k3: -0.04

    model: equirectangular                    # width and height alone are a full sphere
    columns_per_turn: 2048                    # the others may be missing
    rows_per_turn: 2048
    cx: 1023.5
    cy: 511.5
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from healswin.cameras.base import Camera
from healswin.cameras.entries import section
from healswin.cameras.equirectangular import EquirectangularCamera
from healswin.cameras.kannala_brandt import KannalaBrandtCamera
from healswin.cameras.mei_calibration import from_mei
from healswin.cameras.opencv_calibration import DISTORTION_KEYS, MATRIX_KEYS, from_opencv
from healswin.cameras.pinhole import PinholeCamera
from healswin.cameras.plain_yaml import read_yaml
from healswin.cameras.radial_polynomial import RadialPolynomialCamera
from healswin.cameras.unified import UnifiedCamera

# The value of intrinsic.model in a calibration, and who reads it.
CAMERA_MODELS = {
    "radial_poly": RadialPolynomialCamera,
    "kannala_brandt": KannalaBrandtCamera,
    "unified": UnifiedCamera,
    "pinhole": PinholeCamera,
    "equirectangular": EquirectangularCamera,
}


def camera_from_dict(calibration: dict) -> Camera:
    """Build the camera that a calibration describes.

    Args:
        calibration: The structure of WoodScape's JSON files; ``intrinsic.model`` names the camera
            model, "radial_poly" if absent (files of WoodScape).

    Raises:
        ValueError: If the model is not known or an entry is missing.
    """
    intrinsic = section(calibration, "intrinsic")
    if "model" not in intrinsic and {"fx", "columns_per_turn"} & set(intrinsic):
        raise ValueError(
            f"the calibration entry 'model' is missing, known are {sorted(CAMERA_MODELS)}"
        )
    model = intrinsic.get("model", "radial_poly")
    if not isinstance(model, str) or model not in CAMERA_MODELS:
        raise ValueError(
            f"the camera model {model!r} is not known, known are {sorted(CAMERA_MODELS)}"
        )
    return CAMERA_MODELS[model].from_dict(calibration)


def read_calibration(path: str | Path, size: tuple[int, int] | None = None) -> Camera:
    """Read one calibration file; the module's text says which there are.

    Args:
        path: A .json, .yaml or .yml file.
        size: Width and height of the image in pixels, for a file that does not state them.

    Raises:
        ValueError: If the file is missing, may not be read, is no valid JSON or YAML, incomplete or
            no camera, or if nothing states the size; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"the calibration file {path} does not exist")
    kind = "YAML" if path.suffix.lower() in (".yaml", ".yml") else "JSON"
    try:
        text = path.read_text(encoding="utf-8")
        calibration = read_yaml(text) if kind == "YAML" else json.loads(text)
    except PermissionError:
        raise ValueError(f"the calibration file {path} may not be read: no permission") from None
    except (json.JSONDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"the calibration file {path} is no valid {kind}: {error}") from None
    try:
        return _camera(calibration, size)
    except ValueError as error:
        raise ValueError(f"the calibration file {path} cannot be used: {error}") from None


def _camera(calibration: object, size: tuple[int, int] | None) -> Camera:
    """The camera of a file's content, whichever kind it is."""
    if isinstance(calibration, dict):
        if "model_type" in calibration:
            return from_mei(calibration, size)
        if any(key in calibration for key in (*MATRIX_KEYS, *DISTORTION_KEYS)):
            return from_opencv(calibration, size)
    intrinsic = section(calibration, "intrinsic")
    if size is not None and "width" not in intrinsic and "height" not in intrinsic:
        intrinsic = {**intrinsic, "width": size[0], "height": size[1]}
    return camera_from_dict({**calibration, "intrinsic": intrinsic})
