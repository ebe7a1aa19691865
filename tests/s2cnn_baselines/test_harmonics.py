"""Wigner d, quadrature, transforms and rotations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import eigh
from scipy.spatial.transform import Rotation
from scipy.special import lpmv

from healswin.equivariance import haar_rotations
from s2cnn_baselines.harmonics import (
    colatitudes,
    euler_angles,
    longitudes,
    quadrature_weights,
    rotate_s2,
    rotate_so3,
    s2_fft,
    s2_ifft,
    s2_irfft,
    s2_size,
    so3_fft,
    so3_ifft,
    so3_irfft,
    so3_size,
    wigner_d,
)

GRIDS = ["soft", "driscoll-healy"]


def wigner_by_eigenvectors(degree, beta):
    """exp(-i beta J_y) from the eigenvectors of J_y."""
    m = np.arange(-degree, degree)
    raising = np.diag(np.sqrt(degree * (degree + 1) - m * (m + 1.0)), -1)
    values, vectors = eigh((raising - raising.T) / 2j)
    return ((vectors * np.exp(-1j * beta * values)) @ vectors.conj().T).real


def test_wigner_published(golden):
    arrays = golden("transforms")
    for degree, d in enumerate(wigner_d(5, arrays["wigner_betas"])):
        np.testing.assert_allclose(d, arrays[f"wigner_d{degree}"], atol=1e-14)


@pytest.mark.parametrize("degree", [0, 1, 2, 13, 63])
def test_wigner_against_eigenvectors(degree):
    angles = np.array([0.0, 1e-9, 0.01, 0.7, np.pi / 2, 2.6, np.pi - 1e-3, np.pi])
    d = wigner_d(degree + 1, angles)[degree]
    expected = [wigner_by_eigenvectors(degree, beta) for beta in angles]
    np.testing.assert_allclose(d, expected, atol=1e-12)


@given(st.floats(0, np.pi), st.floats(0, np.pi))
def test_wigner_is_a_representation(one, other):
    pieces = zip(wigner_d(9, one), wigner_d(9, other), strict=True)
    for degree, (a, b) in enumerate(pieces):
        np.testing.assert_allclose(a[0] @ a[0].T, np.eye(2 * degree + 1), atol=1e-13)
        if one + other <= np.pi:
            np.testing.assert_allclose(a[0] @ b[0], wigner_d(9, one + other)[degree][0], atol=1e-12)


def test_wigner_orthogonality():
    b = 12
    weights = 4 * b**2 * quadrature_weights(b)
    d = wigner_d(b, colatitudes(b))
    for one in range(b):
        for other in range(b):
            k = min(one, other)
            first = d[one][:, one - k : one + k + 1, one - k : one + k + 1]
            second = d[other][:, other - k : other + k + 1, other - k : other + k + 1]
            inner = np.einsum("j,jmn,jmn->mn", weights, first, second)
            np.testing.assert_allclose(inner, (one == other) / (2 * one + 1), atol=1e-13)


@pytest.mark.parametrize(("degrees", "beta"), [(0, 0.5), (3, -0.1), (3, 3.2), (3, np.nan)])
def test_wigner_refuses(degrees, beta):
    with pytest.raises(ValueError, match=r"degrees=0|beta"):
        wigner_d(degrees, beta)


@pytest.mark.parametrize("b", [4, 6])
def test_quadrature_published(b, golden):
    arrays = golden("transforms")
    np.testing.assert_allclose(colatitudes(b), arrays[f"b{b}_beta"], rtol=1e-15)
    weights = quadrature_weights(b)
    np.testing.assert_allclose(weights, arrays[f"b{b}_weights_so3"], rtol=1e-13)
    np.testing.assert_allclose(2 * b * weights, arrays[f"b{b}_weights_s2"], rtol=1e-13)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("b", [1, 2, 7, 30, 64])
def test_quadrature_integrates_powers_of_cosine(b, grid):
    weights = 4 * b**2 * quadrature_weights(b, grid)
    for power in range(2 * b):
        mean = (weights * np.cos(colatitudes(b, grid)) ** power).sum()
        expected = 0.0 if power % 2 else 1 / (power + 1)
        np.testing.assert_allclose(mean, expected, atol=1e-13)


def test_the_grids_are_half_a_step_apart():
    assert colatitudes(5, "driscoll-healy")[0] == 0.0
    np.testing.assert_allclose(
        colatitudes(5) - colatitudes(5, "driscoll-healy"), np.pi / 20, rtol=1e-13
    )


@pytest.mark.parametrize(("b", "grid"), [(0, "soft"), (2.5, "soft"), (True, "soft"), (4, "dh")])
def test_quadrature_refuses(b, grid):
    with pytest.raises(ValueError, match="must be"):
        quadrature_weights(b, grid)


@pytest.mark.parametrize("b", [4, 6])
@pytest.mark.parametrize(
    ("space", "forward", "backward"),
    [("s2", s2_fft, s2_irfft), ("so3", so3_fft, so3_irfft)],
    ids=["s2", "so3"],
)
def test_transforms_published(b, space, forward, backward, golden):
    arrays = golden("transforms")
    x = torch.from_numpy(arrays[f"b{b}_{space}_x"]).double()
    spectrum = torch.from_numpy(arrays[f"b{b}_{space}_hat64"])
    np.testing.assert_allclose(forward(x).T, spectrum, atol=1e-14)
    np.testing.assert_allclose(backward(spectrum.T), arrays[f"b{b}_{space}_inv64"], atol=1e-13)
    low = {"s2": s2_size, "so3": so3_size}[space](3)
    np.testing.assert_allclose(forward(x, 3).T, spectrum[:low], atol=1e-14)


def test_s2_transform_is_the_written_out_sum():
    b, out = 4, 3
    x = torch.randn(2 * b, 2 * b, dtype=torch.complex128)
    theta, phi = np.meshgrid(colatitudes(b), longitudes(b), indexing="ij")
    spectrum = []
    for degree in range(out):
        for m in range(-degree, degree + 1):
            # The spherical harmonic without its sqrt((2l + 1) / 4 pi); lpmv has Condon and
            # Shortley's phase.
            k = abs(m)
            ratio = math.factorial(degree - k) / math.factorial(degree + k)
            basis = math.sqrt(ratio) * lpmv(k, degree, np.cos(theta)) * np.exp(1j * k * phi)
            basis = basis if m >= 0 else (-1) ** k * basis.conj()
            weights = 2 * b * quadrature_weights(b)[:, None]
            spectrum.append((weights * x.numpy() * basis.conj()).sum())
    np.testing.assert_allclose(s2_fft(x, out), spectrum, atol=1e-14)


@pytest.mark.parametrize(("b", "out"), [(3, 3), (4, 2), (3, 5)])
@pytest.mark.parametrize("grid", GRIDS)
def test_so3_transform_is_the_written_out_sum(b, out, grid):
    x = torch.randn(2 * b, 2 * b, 2 * b, dtype=torch.complex128)
    beta, angle = colatitudes(b, grid), longitudes(b)
    spectrum = []
    for degree, d in enumerate(wigner_d(out, beta)):
        for m in range(-degree, degree + 1):
            for n in range(-degree, degree + 1):
                kept = max(abs(m), abs(n)) < b
                wave = np.exp(-1j * (m * angle[:, None] + n * angle))
                terms = np.einsum(
                    "j,jac,j,ac->",
                    quadrature_weights(b, grid),
                    x.numpy(),
                    d[:, degree + m, degree + n],
                    wave,
                )
                spectrum.append(terms if kept else 0)
    np.testing.assert_allclose(so3_fft(x, out, grid), spectrum, atol=1e-14)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    ("size", "forward", "backward"),
    [(s2_size, s2_fft, s2_ifft), (so3_size, so3_fft, so3_ifft)],
    ids=["s2", "so3"],
)
def test_round_trips(size, forward, backward, grid):
    degrees, b = 5, 6
    spectrum = torch.randn(3, size(degrees), dtype=torch.complex128)
    again = spectrum
    for _ in range(8):
        again = forward(backward(again, b, grid), degrees, grid)
    np.testing.assert_allclose(again, spectrum, atol=1e-13)


def test_inverse_drops_degrees_beyond_its_bandwidth():
    s2 = torch.randn(s2_size(6), dtype=torch.complex128)
    np.testing.assert_allclose(s2_ifft(s2, 4), s2_ifft(s2[: s2_size(4)]), atol=1e-13)
    so3 = torch.randn(so3_size(6), dtype=torch.complex128)
    np.testing.assert_allclose(so3_ifft(so3, 4), so3_ifft(so3[: so3_size(4)]), atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
def test_parseval(grid):
    b = 5
    weights = torch.from_numpy(quadrature_weights(b, grid))
    s2 = torch.randn(s2_size(b), dtype=torch.complex128)
    so3 = torch.randn(so3_size(b), dtype=torch.complex128)
    degree_s2 = torch.cat([torch.full((2 * k + 1,), 2.0 * k + 1) for k in range(b)])
    degree_so3 = torch.cat([torch.full(((2 * k + 1) ** 2,), 2.0 * k + 1) for k in range(b)])
    mean = (2 * b * weights[:, None] * s2_ifft(s2, grid=grid).abs() ** 2).sum()
    torch.testing.assert_close(mean, (degree_s2 * s2.abs() ** 2).sum())
    mean = (weights[:, None, None] * so3_ifft(so3, grid=grid).abs() ** 2).sum()
    torch.testing.assert_close(mean, (degree_so3 * so3.abs() ** 2).sum())


@pytest.mark.parametrize("grid", GRIDS)
def test_known_functions(grid):
    b = 4
    cos = torch.from_numpy(np.cos(colatitudes(b, grid)))[:, None].expand(2 * b, 2 * b)
    one = torch.zeros(s2_size(b), dtype=torch.complex128)
    one[0] = 1
    torch.testing.assert_close(s2_fft(torch.ones_like(cos), grid=grid), one)
    # cos = d^1_00, so that its coefficient is its mean square, 1/3.
    expected = torch.zeros_like(one)
    expected[2] = 1 / 3
    torch.testing.assert_close(s2_fft(cos, grid=grid), expected)
    group = cos[..., None].expand(2 * b, 2 * b, 2 * b)
    expected = torch.zeros(so3_size(b), dtype=torch.complex128)
    expected[1 + 4] = 1 / 3
    torch.testing.assert_close(so3_fft(group, grid=grid), expected)


def points(b, grid):
    theta, phi = np.meshgrid(colatitudes(b, grid), longitudes(b), indexing="ij")
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)


def polynomial(p):
    """Of degree 3, without any symmetry."""
    x, y, z = np.moveaxis(p, -1, 0)
    return 0.3 + x - 2 * z + x * y - 0.7 * z * z * y + x**3


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("matrix", [*haar_rotations(3, 5), np.eye(3), np.diag([1.0, -1.0, -1.0])])
def test_rotation_on_the_sphere(matrix, grid):
    p = points(5, grid)
    turned = rotate_s2(torch.from_numpy(polynomial(p)), matrix, grid)
    np.testing.assert_allclose(turned, polynomial(p @ matrix), atol=1e-13)


@pytest.mark.parametrize("matrix", haar_rotations(3, 6))
def test_rotation_on_the_group(matrix):
    b = 4
    beta, angle = colatitudes(b), longitudes(b)
    grid = np.stack(np.meshgrid(beta, angle, angle, indexing="ij"), axis=-1)
    group = Rotation.from_euler("ZYZ", grid[..., [1, 0, 2]].reshape(-1, 3)).as_matrix()

    def function(g):
        return g[:, 0, 1] + g[:, 2, 0] * g[:, 1, 1] - 0.5 * g[:, 0, 0] * g[:, 1, 2] * g[:, 2, 2]

    x = torch.from_numpy(function(group)).view(2 * b, 2 * b, 2 * b)
    turned = rotate_so3(x, matrix)
    np.testing.assert_allclose(turned.reshape(-1), function(matrix.T @ group), atol=1e-12)


def test_rotations_compose_and_return():
    one, other = haar_rotations(2, 7)
    x = so3_irfft(so3_fft(torch.randn(2, 10, 10, 10, dtype=torch.float64)))
    torch.testing.assert_close(rotate_so3(rotate_so3(x, other), one), rotate_so3(x, one @ other))
    torch.testing.assert_close(rotate_so3(rotate_so3(x, one), one.T), x)


@given(st.integers(0, 10**6))
def test_euler_angles(seed):
    (matrix,) = haar_rotations(1, seed)
    for rotation in (matrix, np.diag([1.0, 1.0, 1.0]), np.diag([-1.0, 1.0, -1.0])):
        angles = euler_angles(rotation)
        np.testing.assert_allclose(
            Rotation.from_euler("ZYZ", angles).as_matrix(), rotation, atol=1e-12
        )


def test_precision_of_the_input_is_kept():
    x = torch.randn(3, 8, 8, 8)
    assert so3_fft(x).dtype == torch.complex64
    assert so3_irfft(so3_fft(x)).dtype == torch.float32
    torch.testing.assert_close(so3_fft(x), so3_fft(x.double()).to(torch.complex64))


@pytest.mark.parametrize(
    "call",
    [
        lambda: s2_fft(torch.zeros(7, 7)),
        lambda: s2_fft(torch.zeros(8, 6)),
        lambda: s2_fft(torch.zeros(0, 0)),
        lambda: s2_fft(torch.zeros(8, 8), 5),
        lambda: s2_fft(torch.zeros(8, 8), 0),
        lambda: s2_fft(torch.zeros(8, 8, dtype=torch.float16)),
        lambda: s2_fft(torch.zeros(8, 8, dtype=torch.bfloat16)),
        lambda: s2_fft(torch.zeros(8, 8), grid="healpix"),
        lambda: s2_ifft(torch.zeros(16)),
        lambda: s2_ifft(torch.zeros(15, dtype=torch.complex64)),
        lambda: so3_fft(torch.zeros(8, 8, 6)),
        lambda: so3_fft(torch.zeros(8, 8, 8), 0),
        lambda: so3_fft(torch.zeros(8, 8, 8, dtype=torch.float16)),
        lambda: so3_ifft(torch.zeros(12, dtype=torch.complex64)),
        lambda: so3_ifft(torch.zeros(10, dtype=torch.complex64), 0),
        lambda: rotate_s2(torch.zeros(8, 8), np.ones((3, 3))),
        lambda: rotate_s2(torch.zeros(8, 8), -np.eye(3)),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match=r"must|need"):
        call()
