"""Names of the baselines for `healswin.create_model`; found through the entry point of the package.

They work on an `healswin.grid.EquiangularGrid`; the published ones on bandwidth 50 (segmentation)
and 30 (classification).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from healswin.grid import EquiangularGrid, Grid
from healswin.models import register_model, register_network
from s2cnn_baselines.cnn import CNNClassifier, CNNSegmenter
from s2cnn_baselines.s2cnn import S2CNNClassifier, S2CNNDeepClassifier, S2CNNSegmenter

# The classes themselves, as configurations and checkpoints name them.
register_network("s2cnn_segmenter", S2CNNSegmenter, EquiangularGrid)
register_network("s2cnn_classifier", S2CNNClassifier, EquiangularGrid)
register_network("s2cnn_deep_classifier", S2CNNDeepClassifier, EquiangularGrid)
register_network("cnn_segmenter", CNNSegmenter, EquiangularGrid)
register_network("cnn_classifier", CNNClassifier, EquiangularGrid)

# Numbers of parameters are those with one channel in and 11 (segmenters) or 10 classes out.
_NAMED: dict[str, Callable[..., nn.Module]] = {
    "s2cnn_segmenter_204k": S2CNNSegmenter,
    "s2cnn_segmenter_205k_skips": partial(S2CNNSegmenter, use_skips=True),
    "s2cnn_classifier_155k": S2CNNClassifier,
    "s2cnn_classifier_59k": partial(S2CNNClassifier, so3_grid=(6, 2, 6)),
    "s2cnn_classifier_157k_deep": S2CNNDeepClassifier,
    "cnn_segmenter_218k": partial(CNNSegmenter, size="218k"),
    "cnn_segmenter_1m": partial(CNNSegmenter, size="1M"),
    "cnn_segmenter_5m": partial(CNNSegmenter, size="5.5M"),
    "cnn_classifier_58k": partial(CNNClassifier, size="58k"),
    "cnn_classifier_155k": partial(CNNClassifier, size="155k"),
}


def _builder(name: str, network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    def build(grid: Grid, in_chans: int, num_classes: int, **arguments: object) -> nn.Module:
        if not isinstance(grid, EquiangularGrid):
            raise ValueError(f"grid={grid}: {name} works on an EquiangularGrid")
        return network(grid.bandwidth, grid.sampling, in_chans, num_classes, **arguments)

    return build


for _name, _network in _NAMED.items():
    register_model(_name)(_builder(_name, _network))
