"""Pictures as a camera takes them: lens, exposure, white balance, noise, eight bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from data_prep.readers.synwoodscape import SKY_DEPTH
from data_prep.street.rays import RayTiles, tile_rays
from data_prep.street.renderer import Renderer
from data_prep.street.scene import Exposure, Scene
from data_prep.street.things import Label
from healswin.cameras import RadialPolynomialCamera

_CURVE_STEPS = 4096
# Above the roof, over the middle between the axles.
PANORAMA_ORIGIN = (1.4, 0.0, 2.3)


@dataclass(frozen=True)
class Frame:
    """A picture with its truth.

    Args:
        image: (height, width, 3) uint8 sRGB.
        semantic: (height, width) uint8 class ids of SynWoodScape.
        depth: (height, width) float32 metres along the ray, 1000 for the sky.
    """

    image: UInt8[np.ndarray, "height width 3"]
    semantic: UInt8[np.ndarray, "height width"]
    depth: Float32[np.ndarray, "height width"]


@lru_cache(maxsize=8)
def _camera_tiles(lens: RadialPolynomialCamera) -> tuple[RayTiles, np.ndarray | None, np.ndarray]:
    """Rays of a lens in camera axes, the mask outside its field (None: all inside), cos theta."""
    u, v = np.meshgrid(np.arange(lens.width, dtype=np.float64), np.arange(lens.height))
    rays = lens.unproject(np.stack([u, v], axis=-1))
    outside = ~np.isfinite(rays).all(axis=-1)
    radius = np.hypot(u - lens.width / 2, v - lens.height / 2) / np.hypot(lens.width, lens.height)
    return tile_rays(rays), outside if outside.any() else None, (2 * radius).astype(np.float32)


@lru_cache(maxsize=1)
def _curve() -> np.ndarray:
    """Tone curve as a table from [0, 1] to [0, 255], float32: some contrast, then sRGB.

    The transfer function is that of IEC 61966-2-1.
    """
    linear = np.arange(_CURVE_STEPS) / (_CURVE_STEPS - 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    contrast = encoded + 0.06 * np.sin(2 * np.pi * (encoded - 0.5))
    return (255 * np.clip(contrast, 0, 1)).astype(np.float32)


def render_frame(scene: Scene, camera: RadialPolynomialCamera) -> Frame:
    """The picture that a camera takes of a scene; black and class 0 outside the lens's field."""
    return take_frame(Renderer(scene), camera)


def take_frame(renderer: Renderer, camera: RadialPolynomialCamera) -> Frame:
    """As `render_frame`, with a renderer that serves several cameras."""
    lens = replace(camera, quaternion=(0.0, 0.0, 0.0, 1.0), translation=(0.0, 0.0, 0.0), name="")
    tiles, outside, radius = _camera_tiles(lens)
    radiance, semantic, depth = renderer.render(
        tiles.turned(camera.rotation()), np.asarray(camera.translation)
    )
    scene = renderer.scene
    falloff = 1 - np.float32(scene.exposure.vignette) * radius**4
    radiance *= falloff[:, :, None]
    seed = [scene.seed, scene.index, *camera.name.encode()]
    image = expose(radiance, scene.exposure, np.random.default_rng(seed))
    if outside is not None:
        image[outside], semantic, depth = 0, semantic.copy(), depth.copy()
        semantic[outside], depth[outside] = Label.UNLABELED, SKY_DEPTH
    return Frame(image, np.ascontiguousarray(semantic), np.ascontiguousarray(depth))


def take_panorama(renderer: Renderer, width: int, height: int) -> Frame:
    """The full sphere from above the roof, equirectangular, in vehicle axes.

    Pixel (column, row) looks along longitude pi - 2 pi (column + 1/2) / width (from x towards y,
    so that ahead is the middle and left is left) and colatitude pi (row + 1/2) / height from up.
    """
    rays = panorama_rays(width, height)
    radiance, semantic, depth = renderer.render(tile_rays(rays), np.asarray(PANORAMA_ORIGIN))
    scene = renderer.scene
    image = expose(radiance, scene.exposure, np.random.default_rng([scene.seed, scene.index, 0]))
    return Frame(image, np.ascontiguousarray(semantic), np.ascontiguousarray(depth))


def panorama_rays(width: int, height: int) -> Float[np.ndarray, "height width 3"]:
    """Directions (height, width, 3) of `take_panorama`'s pixels, float64 unit vectors."""
    longitude = np.pi - 2 * np.pi * (np.arange(width) + 0.5) / width
    colatitude = np.pi * (np.arange(height) + 0.5) / height
    sine = np.sin(colatitude)[:, None]
    return np.stack(
        [
            sine * np.cos(longitude),
            sine * np.sin(longitude),
            np.broadcast_to(np.cos(colatitude)[:, None], (height, width)),
        ],
        axis=-1,
    )


def expose(
    radiance: Float32[np.ndarray, "height width 3"], exposure: Exposure, rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """Turn linear radiance (height, width, 3) into an sRGB picture of eight bits."""
    height, width = radiance.shape[:2]
    blur = exposure.blur * width / 640
    if blur > 0.2:
        radiance = cv2.GaussianBlur(radiance, (0, 0), blur)
    # Automatic exposure: the middle of the lower part of the picture becomes a middle grey.
    sample = radiance[height // 4 :: 4, ::4, 1]
    level = 0.7 * float(np.median(sample)) + 0.3 * float(np.mean(np.minimum(sample, 2.0)))
    gain = np.float32(exposure.gain * 0.21 / max(level, 1e-3))
    red, blue = exposure.balance
    balance = np.array([red, 1.0, blue], dtype=np.float32) * gain
    # A soft shoulder keeps the sky from clipping.
    light = 1 - np.exp(radiance * (-1.35 * balance))
    steps = np.clip(light * (_CURVE_STEPS - 1), 0, _CURVE_STEPS - 1).astype(np.int16)
    picture = _curve()[steps]
    noise = rng.standard_normal(radiance.shape, dtype=np.float32)
    picture += noise * (np.float32(255 * exposure.noise) * (1.25 - picture * np.float32(1 / 340)))
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
