"""Generated street scenes seen by the four surround fisheye cameras of a car.

Scenes are ray-cast in numpy, with exact class and depth for every pixel, and depend on a seed and
their number alone. The parts, lower first:

- `primitives`: where rays meet boxes, polyhedra, ellipsoids, capsules and drums;
- `texture`: noise and filtered patterns;
- `things`: classes, surfaces, parts, things; `vehicles`, `people`, `furniture`, `plants` and
  `buildings` make them;
- `layout` and `ground`: the plan of the street, what is painted on it and how the ground looks;
- `light`: sun, sky, shadows; `points`, `surfaces`, `facades`: colours of the things;
- `planner` and `scene`: draw a whole scene from a seed; `rays` and `renderer`: cast rays into it;
- `rig`: the cameras; `frame`: pictures as they take them; `write`: the folder of a data set.
"""

from data_prep.readers.synwoodscape import SKY_DEPTH
from data_prep.street.frame import Frame, panorama_rays, render_frame, take_frame, take_panorama
from data_prep.street.renderer import Renderer, render
from data_prep.street.rig import CAMERA_NAMES, surround_cameras, tilted
from data_prep.street.scene import Scene, build_scene
from data_prep.street.things import Label
from data_prep.street.write import write_street

__all__ = [
    "CAMERA_NAMES",
    "SKY_DEPTH",
    "Frame",
    "Label",
    "Renderer",
    "Scene",
    "build_scene",
    "panorama_rays",
    "render",
    "render_frame",
    "surround_cameras",
    "take_frame",
    "take_panorama",
    "tilted",
    "write_street",
]
