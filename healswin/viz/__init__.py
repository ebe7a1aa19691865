"""Pictures as uint8 RGB arrays, and a function that writes them; they know no model.

* `healswin.viz.colour`: class ids to colours, overlays, error maps; scales for real values.
* `healswin.viz.sphere`: values on a grid of the sphere as a ball, a fisheye disc or an all-sky map.
* `healswin.viz.text`: captions, the colour legend and the bar of a scale.
* `healswin.viz.panel`: whole figures: image, truth and prediction side by side; windows.
* `healswin.viz.depth`: the same of predicted depth.
* `healswin.viz.sheet`: contact sheets of a data set.
* `healswin.viz.png`: writing.
"""

from healswin.viz.colour import ColourScale, colourise, depth_scale, error_map, overlay, value_scale
from healswin.viz.depth import depth_errors, depth_panel
from healswin.viz.panel import comparison_panel, image_panel, windows_figure
from healswin.viz.png import write_png
from healswin.viz.sheet import SheetSample, contact_sheet
from healswin.viz.sphere import azimuthal, mollweide, orthographic, unrolled
from healswin.viz.text import legend, scale_bar

__all__ = [
    "ColourScale",
    "SheetSample",
    "azimuthal",
    "colourise",
    "comparison_panel",
    "contact_sheet",
    "depth_errors",
    "depth_panel",
    "depth_scale",
    "error_map",
    "image_panel",
    "legend",
    "mollweide",
    "orthographic",
    "overlay",
    "scale_bar",
    "unrolled",
    "value_scale",
    "windows_figure",
    "write_png",
]
