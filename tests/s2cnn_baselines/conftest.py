"""Precision of a test, and its tolerance."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

GOLDENS = Path(__file__).parent / "goldens"


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(1)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def precision(request):
    """Makes a dtype the default; ``equivariance`` is the largest relative error of a layer."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    double = request.param is torch.float64
    yield SimpleNamespace(
        dtype=request.param,
        golden=1e-9 if double else 1e-4,
        equivariance=1e-9 if double else 1e-4,
    )
    torch.set_default_dtype(before)


@pytest.fixture
def double():
    """Makes float64 the default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def golden():
    """A function that reads a file of arrays: a dict, with ``meta`` parsed."""

    def read(name):
        with np.load(GOLDENS / f"{name}.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        arrays["meta"] = json.loads(str(arrays["meta"]))
        return arrays

    return read
