"""Reading calibration files."""

from __future__ import annotations

import json
from pathlib import Path

from healswin.cameras.base import Camera
from healswin.cameras.radial_polynomial import RadialPolynomialCamera

# The value of intrinsic.model in a calibration, and who reads it.
CAMERA_MODELS = {"radial_poly": RadialPolynomialCamera}


def camera_from_dict(calibration: dict) -> Camera:
    """Build the camera that a calibration describes.

    Args:
        calibration: The structure of WoodScape's JSON files; ``intrinsic.model`` names the camera
            model, "radial_poly" if absent.

    Raises:
        ValueError: If the model is not known or an entry is missing.
    """
    intrinsic = calibration.get("intrinsic") if isinstance(calibration, dict) else None
    if not isinstance(intrinsic, dict):
        raise ValueError("a calibration is a JSON object with a section 'intrinsic'")
    model = intrinsic.get("model", "radial_poly")
    if model not in CAMERA_MODELS:
        raise ValueError(
            f"the camera model {model!r} is not known, known are {sorted(CAMERA_MODELS)}"
        )
    return CAMERA_MODELS[model].from_dict(calibration)


def read_calibration(path: str | Path) -> Camera:
    """Read one calibration file (WoodScape JSON).

    Raises:
        ValueError: If the file is missing, no JSON, or incomplete; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"the calibration file {path} does not exist")
    try:
        calibration = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the calibration file {path} is no valid JSON: {error}") from None
    try:
        return camera_from_dict(calibration)
    except ValueError as error:
        raise ValueError(f"the calibration file {path} cannot be used: {error}") from None
