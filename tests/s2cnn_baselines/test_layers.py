"""Layers: published outputs and gradients, written-out sums, equivariance, caches, bad input."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from healswin.equivariance import check_equivariance, equivariance_error, haar_rotations
from s2cnn_baselines import (
    S2Convolution,
    SO3Convolution,
    SO3Integrate,
    SO3Shortcut,
    SO3ToS2,
    rotate_s2,
    rotate_so3,
    s2_equatorial_grid,
    s2_near_identity_grid,
    s2_soft_grid,
    so3_equatorial_grid,
    so3_integrate,
    so3_near_identity_grid,
    so3_soft_grid,
)
from s2cnn_baselines.harmonics import s2_fft, s2_irfft, so3_fft, so3_irfft, so3_size, wigner_d

ROTATIONS = haar_rotations(3, 11)
# One ring with different points, two poles, a point twice: nothing that a table could share.
IRREGULAR = [
    (0.0, 0.3, 0.1),
    (0.4, 1.0, -2.0),
    (0.4, 2.0, 0.5),
    (0.4, 2.0, 0.5),
    (1.3, -0.2, 0.7),
    (np.pi, 0.2, 5.0),
]
SO3_GRIDS = {
    "near identity": so3_near_identity_grid(n_alpha=4, n_gamma=3),
    "equatorial": so3_equatorial_grid(0.2, 0.4, n_alpha=5, n_beta=2, n_gamma=3),
    "soft": so3_soft_grid(2),
    "irregular": IRREGULAR,
}
S2_GRIDS = {
    "near identity": s2_near_identity_grid(),
    "equatorial": s2_equatorial_grid(0.2, n_alpha=5, n_beta=3),
    "soft": s2_soft_grid(2),
    "irregular": [point[:2] for point in IRREGULAR],
}


def transpose(spectrum, degrees):
    """Matrices of every degree."""
    pieces = spectrum.split([(2 * k + 1) ** 2 for k in range(degrees)], dim=-1)
    return [p.unflatten(-1, (2 * k + 1, 2 * k + 1)) for k, p in enumerate(pieces)]


def conj_d(grid, degrees):
    """Conj D^l_mn of every point: [point, m, n] for every degree."""
    beta, alpha, gamma = np.asarray(grid).T
    matrices = []
    for degree, d in enumerate(wigner_d(degrees, beta)):
        orders = np.arange(-degree, degree + 1)
        left, right = (np.exp(-1j * np.outer(angle, orders)) for angle in (alpha, gamma))
        matrices.append(torch.from_numpy(left[:, :, None] * d * right[:, None, :]))
    return matrices


def written_out(layer, x, grid):
    """The layer by the formulas of Cohen et al. 2018, in complex arithmetic."""
    kernel = (layer.kernel * layer.scaling).to(torch.complex128)
    b = layer.b_out
    z = []
    if isinstance(layer, S2Convolution):
        pieces = s2_fft(x, b).split([2 * k + 1 for k in range(b)], dim=-1)
        points = np.concatenate([grid, np.zeros((len(grid), 1))], axis=1)
        for degree, d in enumerate(conj_d(points, b)):
            k = 2 * b * torch.einsum("iop,pn->ion", kernel, d[:, :, degree])
            z.append(torch.einsum("bim,ion->bomn", pieces[degree], k.conj()))
    else:
        pieces = transpose(so3_fft(x, b), b)
        for x_l, d in zip(pieces, conj_d(grid, b), strict=True):
            k = torch.einsum("iop,pnk->ionk", kernel, d)
            z.append(torch.einsum("bimk,ionk->bomn", x_l, k.conj()))
    if isinstance(layer, SO3ToS2):
        return s2_irfft(torch.cat([z_l.sum(dim=-1) for z_l in z], dim=-1)) + layer.bias
    return so3_irfft(torch.cat([z_l.flatten(-2) for z_l in z], dim=-1)) + layer.bias


def build(meta, grid):
    sizes = (meta["nfeature_in"], meta["nfeature_out"], meta["b_in"], meta["b_out"])
    classes = {"s2conv": S2Convolution, "so3conv": SO3Convolution, "so3tos2": SO3ToS2}
    if meta["layer"] == "so3shortcut":
        return SO3Shortcut(*sizes)
    return classes[meta["layer"]](*sizes, grid)


def relative(a, b):
    b = torch.as_tensor(b).to(a)
    return ((a - b).abs().max() / b.abs().max()).item()


@pytest.mark.parametrize(
    "name", ["s2conv", "so3conv", "so3shortcut_5to6", "so3shortcut_6to5", "so3tos2"]
)
def test_published_layer(name, golden, precision):
    arrays = golden(name)
    meta = arrays["meta"]
    layer = build(meta, arrays["grid"])
    prefix = "conv." if meta["layer"] == "so3shortcut" else ""
    parameters = {f"{prefix}{key}": torch.from_numpy(arrays[key]) for key in ("kernel", "bias")}
    layer.load_state_dict(parameters, strict=True)
    inner = layer.conv if prefix else layer
    assert inner.scaling == pytest.approx(float(arrays["scaling"]), rel=1e-12)
    x = torch.from_numpy(arrays["x"]).to(precision.dtype).requires_grad_()
    y = layer(x)
    assert y.dtype == precision.dtype
    assert relative(y, arrays["y64"]) < precision.golden
    (y * torch.from_numpy(arrays["grad_y"])).sum().backward()
    # The published gradients are float32.
    assert relative(x.grad, arrays["grad_x"]) < 1e-5
    assert relative(inner.kernel.grad, arrays["grad_kernel"]) < 1e-5
    assert relative(inner.bias.grad, arrays["grad_bias"]) < 1e-5


@pytest.mark.parametrize("name", ["s2conv", "so3conv", "so3tos2"])
def test_published_grid(name, golden):
    arrays = golden(name)
    function = s2_near_identity_grid if name == "s2conv" else so3_near_identity_grid
    grid = function(**arrays["meta"]["grid"]["args"])
    np.testing.assert_allclose(grid, arrays["grid"], rtol=0, atol=1e-15)


def test_first_and_last_twist_are_the_same_rotation():
    grid = so3_near_identity_grid()
    assert grid.shape == (192, 3)
    rotations = Rotation.from_euler("ZYZ", grid[:, [1, 0, 2]]).as_matrix().reshape(192, 9)
    assert len(np.unique(rotations.round(9) + 0.0, axis=0)) == 168


def test_published_integral(golden, precision):
    arrays = golden("so3_integrate")
    x = torch.from_numpy(arrays["x"]).to(precision.dtype)
    assert relative(SO3Integrate(5)(x), arrays["y64"]) < precision.golden
    assert relative(so3_integrate(x), arrays["y64"]) < precision.golden


@pytest.mark.parametrize("name", S2_GRIDS)
@pytest.mark.parametrize(("b_in", "b_out"), [(4, 4), (5, 3), (2, 1)])
def test_s2_convolution_is_the_written_out_sum(name, b_in, b_out, double):
    layer = S2Convolution(2, 3, b_in, b_out, S2_GRIDS[name])
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 2, 2 * b_in, 2 * b_in)
    torch.testing.assert_close(layer(x), written_out(layer, x, S2_GRIDS[name]))


@pytest.mark.parametrize("name", SO3_GRIDS)
@pytest.mark.parametrize(("b_in", "b_out"), [(4, 4), (4, 2), (3, 5), (1, 1)])
@pytest.mark.parametrize("kind", [SO3Convolution, SO3ToS2])
@pytest.mark.parametrize("features", [1, 2])
def test_so3_layers_are_the_written_out_sum(kind, name, b_in, b_out, features, double):
    layer = kind(features, 3, b_in, b_out, SO3_GRIDS[name])
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(3, features, 2 * b_in, 2 * b_in, 2 * b_in)
    torch.testing.assert_close(layer(x), written_out(layer, x, SO3_GRIDS[name]))


@pytest.mark.parametrize(("b_in", "b_out"), [(4, 4), (5, 3), (3, 5)])
def test_shortcut_beside_a_convolution(b_in, b_out, double):
    layer = SO3Convolution(2, 3, b_in, b_out, IRREGULAR)
    shortcut = SO3Shortcut(2, 3, b_in, b_out)
    torch.nn.init.normal_(layer.bias)
    torch.nn.init.normal_(shortcut.conv.bias)
    x = torch.randn(2, 2, 2 * b_in, 2 * b_in, 2 * b_in)
    inner = layer.forward_inner(x.permute(4, 3, 0, 1, 2), shortcut)
    torch.testing.assert_close(inner.permute(2, 3, 4, 1, 0), layer(x) + shortcut(x))


def test_shortcut_of_equal_sizes_has_no_parameters(double):
    shortcut = SO3Shortcut(2, 2, 3, 3)
    layer = SO3Convolution(2, 2, 3, 3, IRREGULAR)
    x = torch.randn(1, 2, 6, 6, 6)
    assert not list(shortcut.parameters())
    assert shortcut(x) is x
    inner = layer.forward_inner(x.permute(4, 3, 0, 1, 2), shortcut)
    torch.testing.assert_close(inner.permute(2, 3, 4, 1, 0), layer(x) + x)


def so3_band_limited(shape, degrees, b):
    spectrum = torch.zeros(*shape, so3_size(b), dtype=torch.complex128)
    spectrum[..., : so3_size(degrees)] = torch.randn(*shape, so3_size(degrees))
    return so3_irfft(spectrum)


@pytest.mark.parametrize(("b_in", "b_out"), [(6, 6), (6, 4), (4, 6)])
@pytest.mark.parametrize("kind", ["s2", "so3", "to_s2", "shortcut"])
def test_linear_layers_are_equivariant(kind, b_in, b_out, precision):
    sizes = (2, 3, b_in, min(b_in, b_out) if kind == "s2" else b_out)
    if kind == "s2":
        layer, turn, turn_out = S2Convolution(*sizes, S2_GRIDS["irregular"]), rotate_s2, rotate_so3
        x = s2_irfft(s2_fft(torch.randn(2, 2, 2 * b_in, 2 * b_in, dtype=torch.float64)))
    else:
        # So that the quadrature of the input is exact for all degrees of the output.
        x = so3_band_limited((2, 2), min(b_in, 2 * b_in - b_out + 1), b_in)
        turn, turn_out = rotate_so3, rotate_s2 if kind == "to_s2" else rotate_so3
        if kind == "shortcut":
            layer = SO3Shortcut(*sizes)
        else:
            layer = {"so3": SO3Convolution, "to_s2": SO3ToS2}[kind](*sizes, IRREGULAR)
    report = check_equivariance(
        layer,
        x.to(precision.dtype),
        [functools.partial(turn, rotation=r) for r in ROTATIONS],
        transform_output=[functools.partial(turn_out, rotation=r) for r in ROTATIONS],
        tolerance=precision.equivariance,
    )
    assert len(report.errors) == 3


@pytest.mark.parametrize("grid", ["soft", "driscoll-healy"])
def test_both_samplings_are_equivariant(grid, double):
    x = s2_irfft(s2_fft(torch.randn(1, 1, 10, 10), grid=grid), grid=grid)
    to_group = S2Convolution(1, 2, 5, 5, s2_near_identity_grid(), grid)
    to_sphere = SO3ToS2(2, 1, 5, 5, so3_near_identity_grid(), grid)
    turns = [functools.partial(rotate_s2, rotation=r, grid=grid) for r in ROTATIONS]
    report = check_equivariance(lambda x: to_sphere(to_group(x)), x, turns, tolerance=1e-9)
    assert not report.failed


def test_the_integral_does_not_turn(precision):
    x = so3_band_limited((2,), 5, 5).to(precision.dtype)
    turns = [functools.partial(rotate_so3, rotation=r) for r in ROTATIONS]
    report = check_equivariance(
        so3_integrate, x, turns, transform_output=lambda y: y, tolerance=precision.equivariance
    )
    assert not report.failed


def test_relu_is_more_equivariant_at_a_higher_bandwidth(double):
    errors = []
    for b in (4, 8, 16):
        spectrum = torch.zeros(1, so3_size(b), dtype=torch.complex128)
        spectrum[:, : so3_size(3)] = so3_fft(torch.randn(1, 6, 6, 6))
        x = so3_irfft(spectrum)
        turn = functools.partial(rotate_so3, rotation=ROTATIONS[0])
        # Turned by its spectrum, of which only the degrees below 3 are compared.
        low = functools.partial(so3_fft, bandwidth=3)
        turned = low(torch.relu(turn(x)))
        expected = low(turn(torch.relu(x)))
        errors.append((turned - expected).norm() / expected.norm())
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


@pytest.mark.parametrize("kind", ["s2", "so3", "so3_up", "to_s2"])
def test_gradients(kind, double):
    if kind == "s2":
        layer = S2Convolution(2, 1, 3, 2, S2_GRIDS["irregular"])
        x = torch.randn(1, 2, 6, 6)
    else:
        sizes = (1, 2, 2, 3) if kind == "so3_up" else (1, 2, 3, 2)
        layer = (SO3ToS2 if kind == "to_s2" else SO3Convolution)(*sizes, IRREGULAR)
        x = torch.randn(1, 1, *3 * (2 * layer.b_in,))

    def function(x, kernel, bias):
        return torch.func.functional_call(layer, {"kernel": kernel, "bias": bias}, (x,))

    arguments = (x.requires_grad_(), layer.kernel, layer.bias)
    assert torch.autograd.gradcheck(function, arguments, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, arguments, fast_mode=True)


def test_published_first_values():
    layer = SO3Convolution(3, 4, 4, 4, so3_near_identity_grid())
    assert layer.kernel.shape == (3, 4, 192)
    assert layer.bias.shape == (1, 4, 1, 1, 1)
    assert SO3ToS2(3, 4, 4, 4, IRREGULAR).bias.shape == (1, 4, 1, 1)
    assert not layer.bias.any()
    assert layer.kernel.min() < -0.98
    assert layer.kernel.max() > 0.98
    assert set(layer.state_dict()) == {"kernel", "bias"}


def test_kernel_spectrum_is_kept_for_as_long_as_it_is_right():
    layer = SO3Convolution(1, 1, 3, 3, IRREGULAR).eval()
    x = torch.randn(1, 1, 6, 6, 6)
    with torch.no_grad():
        first = layer(x)
        assert layer.kernel_spectrum() is layer.kernel_spectrum()
        layer.kernel.data.mul_(2)
        torch.testing.assert_close(layer(x), 2 * first)
        layer.load_state_dict({k: 3 * v for k, v in layer.state_dict().items()})
        torch.testing.assert_close(layer(x), 6 * first)
        assert copy.deepcopy(layer)._kept is None
        layer.double()
        assert layer(x.double()).dtype == torch.float64
    layer.float()
    layer(x).sum().backward()
    assert layer.kernel.grad is not None


def test_tables_are_cast_from_double(double):
    torch.set_default_dtype(torch.float32)
    layer = SO3Convolution(1, 2, 4, 3, IRREGULAR)
    torch.set_default_dtype(torch.float64)
    fresh = SO3Convolution(1, 2, 4, 3, IRREGULAR)
    layer.double()
    fresh.load_state_dict(layer.state_dict())
    x = torch.randn(1, 1, 8, 8, 8)
    assert torch.equal(layer(x), fresh(x))
    again = pickle.loads(pickle.dumps(layer))
    assert torch.equal(again.float().double()(x), fresh(x))


def test_layers_share_their_tables():
    first, second = (SO3Convolution(1, 2, 4, 4, IRREGULAR) for _ in range(2))
    for name in ("wigner", "alpha_waves", "index"):
        assert getattr(first.analysis, name) is getattr(second.analysis, name)
    assert first.spectrum.modes is second.spectrum.modes


def test_autocast_does_not_lower_the_precision():
    layer = SO3Convolution(1, 2, 4, 3, IRREGULAR)
    x = torch.randn(1, 1, 8, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        integral = so3_integrate(x)
    assert torch.equal(y, layer(x))
    assert torch.equal(integral, so3_integrate(x))


def test_deterministic_and_independent_of_the_batch():
    layer = SO3ToS2(2, 3, 4, 5, IRREGULAR)
    x = torch.randn(4, 2, 8, 8, 8)
    assert torch.equal(layer(x), layer(x))
    torch.testing.assert_close(layer(x)[1:3], layer(x[1:3]))
    assert layer(x[:0]).shape == (0, 3, 10, 10)


LAYERS = {
    "s2": lambda: S2Convolution(2, 3, 5, 4, S2_GRIDS["irregular"]),
    "so3": lambda: SO3Convolution(2, 3, 3, 5, IRREGULAR),
    "to_s2": lambda: SO3ToS2(2, 3, 4, 3, IRREGULAR),
    "shortcut": lambda: SO3Shortcut(2, 3, 4, 3),
}


def signal_of(layer, batch=2):
    conv = layer.conv if isinstance(layer, SO3Shortcut) else layer
    axes = 2 if isinstance(layer, S2Convolution) else 3
    return torch.randn(batch, 2, *axes * (2 * conv.b_in,))


def gradients(layer, x, autocast=False):
    """Output, and gradients of all that needs one; the backward pass is under autocast too."""
    x = x.detach().requires_grad_()
    wanted = [x, *(p for p in layer.parameters() if p.requires_grad)]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y = layer(x)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), wanted)]


@pytest.mark.parametrize("kind", LAYERS)
def test_autocast_does_not_lower_the_precision_of_gradients(kind):
    layer = LAYERS[kind]()
    x = signal_of(layer)
    expected, found = gradients(layer, x), gradients(layer, x, autocast=True)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_take_any_strides(kind):
    layer = LAYERS[kind]()
    x = signal_of(layer)
    other = x.transpose(1, -1).contiguous().transpose(1, -1)
    assert not other.is_contiguous()
    assert all(map(torch.equal, gradients(layer, other), gradients(layer, x)))
    if x.ndim == 4:
        channels_last = x.contiguous(memory_format=torch.channels_last)
        assert torch.equal(layer(channels_last), layer(x))


@pytest.mark.parametrize("kind", LAYERS)
def test_no_samples(kind):
    layer = LAYERS[kind]()
    y, *found = gradients(layer, signal_of(layer, 0))
    assert y.shape[:2] == (0, 3)
    assert not any(gradient.any() for gradient in found[1:])


@pytest.mark.parametrize("kind", LAYERS)
def test_frozen_kernels_leave_the_other_gradients(kind):
    layer = LAYERS[kind]()
    x = signal_of(layer)
    expected = gradients(layer, x)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_("bias" in name)
    names = ["y", "x", *(name for name, _ in layer.named_parameters())]
    kept = [e for name, e in zip(names, expected, strict=True) if "kernel" not in name]
    assert all(map(torch.equal, gradients(layer, x), kept))


@pytest.mark.parametrize("other", ["shortcut", "identity", "none"])
def test_gradients_of_the_rectified_layer(other, double):
    sizes = (1, 1, 2, 2) if other == "identity" else (1, 2, 2, 3)
    layer = SO3Convolution(*sizes, IRREGULAR)
    shortcut = None if other == "none" else SO3Shortcut(*sizes)
    parameters = [*layer.parameters(), *(shortcut.parameters() if shortcut else ())]
    x = torch.randn(4, 4, 1, 1, 4, requires_grad=True)

    def function(x, *_):
        return layer.forward_inner(x, shortcut, rectify=True)

    y = function(x)
    assert 0.2 < (y == 0).double().mean() < 0.8
    torch.testing.assert_close(y, torch.relu(layer.forward_inner(x, shortcut)))
    assert torch.autograd.gradcheck(function, (x, *parameters), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (x, *parameters), fast_mode=True)


def test_spectra_of_kernels_are_not_kept_for_the_backward_pass():
    layer = SO3Convolution(3, 4, 10, 10, IRREGULAR)
    x = torch.randn(20, 20, 1, 3, 20, requires_grad=True)
    tables = {buffer.data_ptr() for buffer in layer.buffers()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in tables:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = layer.forward_inner(x, rectify=True)
    # The spectrum of x, the kernel, and a byte for every sample of the result.
    spectrum = 3 * so3_size(10)
    assert sum(kept.values()) == 4 * (spectrum + layer.kernel.numel()) + y.numel()
    assert layer.kernel_spectrum().numel() == 4 * spectrum


def test_a_kernel_that_changes_before_the_backward_pass_is_noticed():
    layer = SO3Convolution(1, 1, 3, 3, IRREGULAR)
    y = layer(torch.randn(1, 1, 6, 6, 6)).sum()
    with torch.no_grad():
        layer.kernel.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_shapes_can_be_computed_without_values():
    layer = LAYERS["so3"]().to("meta")
    assert layer(torch.empty(2, 2, 6, 6, 6, device="meta")).shape == (2, 3, 10, 10, 10)


def test_halves_are_refused_whatever_the_layer_is():
    for dtype in (torch.float16, torch.bfloat16):
        layer = LAYERS["so3"]().to(dtype)
        with pytest.raises(ValueError, match="x is"):
            layer(torch.zeros(1, 2, 6, 6, 6, dtype=dtype))
        with pytest.raises(ValueError, match="convert one"):
            layer(torch.zeros(1, 2, 6, 6, 6))


def test_state_dicts_are_strict():
    layer = LAYERS["so3"]()
    state = layer.state_dict()
    with pytest.raises(RuntimeError, match="bias"):
        layer.load_state_dict({"kernel": state["kernel"]})
    with pytest.raises(RuntimeError, match="analysis"):
        layer.load_state_dict({**state, "analysis.wigner": torch.zeros(1)})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", [SO3Convolution, SO3ToS2])
def test_cuda_agrees(kind, precision):
    layer = kind(2, 3, 4, 5, IRREGULAR)
    x = torch.randn(2, 2, 8, 8, 8)
    y = layer(x)
    assert relative(layer.cuda()(x.cuda()).cpu(), y.detach()) < precision.golden


@pytest.mark.parametrize(
    "call",
    [
        lambda: S2Convolution(1, 1, 4, 5, s2_near_identity_grid()),
        lambda: S2Convolution(1, 1, 4, 0, s2_near_identity_grid()),
        lambda: S2Convolution(0, 1, 4, 4, s2_near_identity_grid()),
        lambda: S2Convolution(1, 1, 4, 4, so3_near_identity_grid()),
        lambda: S2Convolution(1, 1, 4, 4, [(-0.1, 0.0)]),
        lambda: S2Convolution(1, 1, 4, 4, [(0.1, np.nan)]),
        lambda: S2Convolution(1, 1, 4, 4, s2_near_identity_grid(), "healpix"),
        lambda: SO3Convolution(1, 1, 4, 4, s2_near_identity_grid()),
        lambda: SO3Convolution(1, 1, 4, 4, [(3.2, 0.0, 0.0)]),
        lambda: SO3Convolution(1, 1, 4, 4, np.zeros((0, 3))),
        lambda: SO3Convolution(1, 1, -4, 4, IRREGULAR),
        lambda: SO3Convolution(1, 1.0, 4, 4, IRREGULAR),
        lambda: SO3Shortcut(1, 1, 4, 0),
        lambda: SO3Integrate(0),
        lambda: so3_near_identity_grid(max_beta=4.0),
        lambda: so3_near_identity_grid(max_gamma=np.inf),
        lambda: so3_near_identity_grid(n_alpha=0),
        lambda: s2_near_identity_grid(max_beta=0.0),
        lambda: s2_equatorial_grid(max_beta=2.0),
        lambda: s2_soft_grid(0),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match=r"must|b_out|grid"):
        call()


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(1, 1, 8, 8, 8, dtype=torch.float16),
        torch.zeros(1, 1, 8, 8, 8, dtype=torch.bfloat16),
        torch.zeros(1, 1, 8, 8, 8, dtype=torch.float64),
        torch.zeros(1, 2, 8, 8, 8),
        torch.zeros(1, 1, 6, 6, 6),
        torch.zeros(1, 1, 7, 7, 7),
        torch.zeros(1, 1, 8, 8, 6),
    ],
    ids=lambda x: f"{tuple(x.shape)} {x.dtype}",
)
def test_bad_input_is_refused(x):
    for layer in (SO3Convolution(1, 1, 4, 4, IRREGULAR), SO3ToS2(1, 1, 4, 4, IRREGULAR)):
        with pytest.raises(ValueError, match="x "):
            layer(x)


def test_the_integral_refuses():
    with pytest.raises(ValueError, match="samples"):
        SO3Integrate(4)(torch.zeros(2, 6, 6, 6))
    with pytest.raises(ValueError, match="float16"):
        so3_integrate(torch.zeros(2, 6, 6, 6, dtype=torch.float16))


def test_equivariance_error_is_zero_where_nothing_turns():
    layer = SO3Shortcut(1, 1, 3, 3)
    identity = functools.partial(rotate_so3, rotation=np.eye(3))
    x = so3_band_limited((1, 1), 3, 3)
    assert equivariance_error(layer, x, identity).relative < 1e-12
