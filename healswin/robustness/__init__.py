"""How much of a model's score is left when the sphere is turned: ``healswin robustness``.

A map f is turned to (T f)(p) = f(R^-1 p), the classes of its pixels with it, and the model is
scored again: under turns about the z axis, and under rotations that are uniform over SO(3). The
rotations depend on the seed alone; all samples, models and data sets meet the same ones. "Upright"
is the pose in which the maps are stored.

Turned images are interpolated between four pixels, classes are those of the nearest pixel
(`healswin.data.batch_augment.BatchRotation`), so that what interpolation costs is part of every
figure. How much that is, a control tells: the maps are turned and turned back, which interpolates
them twice, and the model sees them upright again.

Of a part of the sphere most turns would bring unknown pixels into view. There only quarter turns
about z are measured, exactly, where they map the part onto itself.
"""

from healswin.robustness.command import main
from healswin.robustness.measure import ANGLES, measure_robustness
from healswin.robustness.pages import as_markdown, draw_robustness, write_robustness

__all__ = [
    "ANGLES",
    "as_markdown",
    "draw_robustness",
    "main",
    "measure_robustness",
    "write_robustness",
]
