"""Pictures as uint8 RGB arrays, and a function that writes them; they know no model.

* `healswin.viz.colour`: class ids to colours, overlays, error maps.
* `healswin.viz.sphere`: HEALPix values as a ball, a fisheye disc or an all-sky map.
* `healswin.viz.text`: captions and the colour legend.
* `healswin.viz.panel`: whole figures: image, truth and prediction side by side; windows.
* `healswin.viz.png`: writing.
"""

from healswin.viz.colour import colourise, error_map, overlay
from healswin.viz.panel import comparison_panel, windows_figure
from healswin.viz.png import write_png
from healswin.viz.sphere import azimuthal, mollweide, orthographic
from healswin.viz.text import legend

__all__ = [
    "azimuthal",
    "colourise",
    "comparison_panel",
    "error_map",
    "legend",
    "mollweide",
    "orthographic",
    "overlay",
    "windows_figure",
    "write_png",
]
