"""Layers are compared with their twins in double precision."""

import pytest
import torch


@pytest.fixture(scope="module")
def double():
    """Modules made in this file have float64 weights and tables."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
