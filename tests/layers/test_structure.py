"""What random rotations do to the rotation-robust parts, by the structural measure."""

import pytest
import torch
from torch import nn

from healswin.equivariance import structural_error
from healswin.grid import HealpixGrid
from healswin.layers import (
    BlockSettings,
    MeanExpand,
    MeanMerge,
    PatchExpand,
    PatchMerge,
    Stage,
    StagePlaces,
)

GRID = HealpixGrid(32)


class DownAndUp(nn.Module):
    def __init__(self, merge, expand):
        super().__init__()
        self.merge, self.expand = merge, expand

    def forward(self, x):
        return x + self.expand(self.merge(x))


def mixer(windows, bias):
    settings = BlockSettings(
        64, windows=windows, bias=bias, cosine=False, norm_placement="pre", mlp_ratio=4.0
    )
    torch.manual_seed(0)
    return Stage(StagePlaces(GRID, settings), 32, 4, settings, drop_path=[0.0] * 4)


@pytest.mark.parametrize("bias", ["radial", "steered"])
def test_discs_hardly_notice_a_rotation(bias):
    assert structural_error(mixer("disc", bias)) < 0.1


def test_windows_do():
    assert structural_error(mixer("vertex", "radial")) > 0.4


def test_means_hardly_notice_a_rotation_and_joined_children_do():
    coarse = HealpixGrid(16)
    torch.manual_seed(0)
    mean = [DownAndUp(MeanMerge(GRID, 32), MeanExpand(coarse, GRID, 64, 32)) for _ in range(4)]
    joined = [DownAndUp(PatchMerge(32), PatchExpand(64, 32)) for _ in range(4)]
    assert structural_error(nn.Sequential(*mean)) < 0.1
    assert structural_error(nn.Sequential(*joined)) > 1
