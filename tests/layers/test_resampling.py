import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from healswin.grid import CORNERS, EDGES, HealpixGrid, neighbours, pixel_symmetries
from healswin.layers import (
    MeanExpand,
    MeanMerge,
    PatchEmbed,
    PatchExpand,
    PatchMerge,
    RingStem,
    blur,
    interpolation,
)

pytestmark = pytest.mark.usefixtures("double")

subsets = st.sets(st.integers(0, 11), min_size=1).map(lambda s: tuple(sorted(s)))
nsides = st.sampled_from([1, 2, 4, 8])


def with_random_weights(module):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module.eval()


@given(subsets, nsides)
def test_the_blur_is_the_mean_of_a_pixel_and_its_neighbours(faces, nside):
    grid = HealpixGrid(nside, faces)
    x = np.random.default_rng(0).normal(size=grid.num_pixels)
    result = blur(grid)(torch.from_numpy(x).view(1, -1, 1))[0, :, 0].numpy()
    for pixel in range(0, grid.num_pixels, max(1, grid.num_pixels // 20)):
        around = [p for p in neighbours(grid)[pixel] if p >= 0]
        assert abs(result[pixel] - x[[pixel, *around]].mean()) < 1e-12


@given(subsets, nsides, st.integers(0, 2))
def test_constants_stay_constant(faces, nside, halvings):
    """On any subset, the border included."""
    coarse = HealpixGrid(nside, faces)
    fine = HealpixGrid(nside * 2**halvings, faces)
    constant = torch.full((2, coarse.num_pixels, 3), 0.7)
    for layer in (blur(coarse), interpolation(coarse, fine)):
        result = layer(constant)
        torch.testing.assert_close(result, torch.full_like(result, 0.7))


@given(subsets, nsides)
def test_layers_keep_constants(faces, nside):
    """Whatever their weights, a map without structure gets none."""
    coarse, fine = HealpixGrid(nside, faces), HealpixGrid(2 * nside, faces)
    merge = with_random_weights(MeanMerge(fine, 6))
    expand = with_random_weights(MeanExpand(coarse, fine, 12, 6))
    torch.manual_seed(1)
    values = torch.randn(2, 1, 6)
    with torch.no_grad():
        merged = merge(values.expand(2, fine.num_pixels, 6))
        assert merged.shape == (2, coarse.num_pixels, 12)
        torch.testing.assert_close(merged, merged[:, :1].expand_as(merged))
        expanded = expand(merged)
        assert expanded.shape == (2, fine.num_pixels, 6)
        torch.testing.assert_close(expanded, expanded[:, :1].expand_as(expanded))
        # The mean over no edge neighbour at all, of a single face of nside 1, is 0.
        if nside > 1:
            stem = with_random_weights(RingStem(coarse, 3, 5, 8, 4))
            tokens, thin = stem(values[:, :, :3].expand(2, coarse.num_pixels, 3).transpose(1, 2))
            inside = (neighbours(coarse)[:, CORNERS] >= 0).any(axis=1)
            thin = thin[:, inside]
            torch.testing.assert_close(thin, thin[:, :1].expand_as(thin))
            if inside.all():
                torch.testing.assert_close(tokens, tokens[:, :1].expand_as(tokens))


@given(subsets, nsides, st.integers(0, 2))
def test_interpolation_is_its_formula(faces, nside, halvings):
    """A pixel at a time: Gaussian weights of the pixel it lies in and of those around that."""
    coarse, fine = HealpixGrid(nside, faces), HealpixGrid(nside * 2**halvings, faces)
    values = np.random.default_rng(0).normal(size=coarse.num_pixels)
    result = interpolation(coarse, fine)(torch.from_numpy(values).view(1, -1, 1)).flatten()
    around, vectors = neighbours(coarse), coarse.vectors()
    for pixel in range(0, fine.num_pixels, max(1, fine.num_pixels // 20)):
        here = fine.vectors()[pixel]
        parent = coarse.lookup(here)
        known = [parent, *(p for p in around[parent] if p >= 0)]
        distance = np.linalg.norm(vectors[known] - here, axis=1) / coarse.pixel_spacing
        weight = np.exp(-((distance / 0.6) ** 2) / 2)
        assert abs(result[pixel] - weight @ values[known] / weight.sum()) < 1e-12


@pytest.mark.parametrize("nside", [8, 16, 32])
@pytest.mark.parametrize("factor", [2, 4])
def test_interpolation_nearly_reproduces_linear_functions(nside, factor):
    """The coordinates x, y, z: off by less than a fifth of a coarse pixel.

    Repeating the parent is off by half a diagonal; the mean of the squares falls by 20.
    """
    coarse, fine = HealpixGrid(nside), HealpixGrid(nside * factor)
    linear = torch.from_numpy(coarse.vectors())[None]
    places = interpolation(coarse, fine)(linear)[0].numpy()
    error = np.linalg.norm(places - fine.vectors(), axis=1)
    repeated = np.linalg.norm(coarse.vectors().repeat(factor**2, axis=0) - fine.vectors(), axis=1)
    assert error.max() < 0.2 * coarse.pixel_spacing
    assert np.mean(error**2) < np.mean(repeated**2) / 20


@pytest.mark.parametrize("nside", [2, 8])
@pytest.mark.parametrize("symmetry", pixel_symmetries(), ids=lambda s: s.name)
def test_resampling_commutes_with_the_symmetries_of_the_pixels(symmetry, nside):
    fine, coarse = HealpixGrid(nside), HealpixGrid(nside // 2)
    at_fine, at_coarse = symmetry.gather(fine), symmetry.gather(coarse)
    torch.manual_seed(1)
    tokens = torch.randn(2, fine.num_pixels, 6)
    parents = torch.randn(2, coarse.num_pixels, 12)
    merge = with_random_weights(MeanMerge(fine, 6))
    expand = with_random_weights(MeanExpand(coarse, fine, 12, 6))
    stem = with_random_weights(RingStem(fine, 6, 5, 8, 4))
    with torch.no_grad():
        torch.testing.assert_close(merge(tokens[:, at_fine]), merge(tokens)[:, at_coarse])
        torch.testing.assert_close(expand(parents[:, at_coarse]), expand(parents)[:, at_fine])
        maps = tokens.transpose(1, 2)
        embedded, thin = stem(maps)
        turned_embedded, turned_thin = stem(maps[..., at_fine])
        torch.testing.assert_close(turned_embedded, embedded[:, at_coarse])
        torch.testing.assert_close(turned_thin, thin[:, at_fine])


def test_published_resampling_does_not_commute():
    """The comparison of the test above tells layers that see the order of the children."""
    symmetry = pixel_symmetries()[4]
    fine, coarse = HealpixGrid(8), HealpixGrid(4)
    merge = with_random_weights(PatchMerge(6))
    x = torch.randn(1, fine.num_pixels, 6)
    with torch.no_grad():
        turned, expected = merge(x[:, symmetry.gather(fine)]), merge(x)[:, symmetry.gather(coarse)]
    assert (turned - expected).norm() > 0.1 * expected.norm()


def test_the_stem_is_its_formula():
    """Pixel, mean of the edge neighbours, mean of the corner neighbours; then mean of a patch."""
    grid = HealpixGrid(4, (0, 5))
    stem = with_random_weights(RingStem(grid, 2, 3, 4, 16))
    x = torch.randn(1, 2, grid.num_pixels)
    table = neighbours(grid)
    with torch.no_grad():
        tokens, thin = stem(x)
        for pixel in (0, 15, 16, 20):
            parts = [x[0, :, pixel]]
            for columns in (EDGES, CORNERS):
                known = [p for p in table[pixel, columns] if p >= 0]
                parts.append(x[0, :, known].mean(dim=1) if known else torch.zeros(2))
            expected = nn.functional.gelu(stem.rings(torch.cat(parts)))
            torch.testing.assert_close(thin[0, pixel], expected)
        torch.testing.assert_close(tokens[0, 1], stem.proj(thin[0, 16:].mean(dim=0)))


def test_merging_and_expanding_keep_children_together():
    torch.manual_seed(0)
    merge, expand = PatchMerge(6), PatchExpand(12, 6)
    x = torch.randn(2, 16, 6)
    changed = x.clone()
    changed[:, 4:8] += torch.randn(2, 4, 6)
    with torch.no_grad():
        before, after = expand(merge(x)), expand(merge(changed))
    assert before.shape == x.shape
    same = (before == after).all(dim=-1).all(dim=0)
    assert same.tolist() == [True] * 4 + [False] * 4 + [True] * 8


def test_patches_are_embedded_by_one_matrix():
    torch.manual_seed(0)
    embed = PatchEmbed(3, 5, 4)
    x = torch.randn(2, 3, 16)
    matrix = embed.proj.weight.flatten(1)  # (embed, channels * patch)
    for patch in range(4):
        part = x[:, :, 4 * patch : 4 * patch + 4].flatten(1)
        torch.testing.assert_close(embed(x)[:, patch], part @ matrix.T + embed.proj.bias)


@pytest.mark.parametrize("patch", [2, 8, 12])
def test_patches_are_squares(patch):
    with pytest.raises(ValueError, match=f"window={patch} must be a power of four"):
        PatchEmbed(3, 5, patch)
