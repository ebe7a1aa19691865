"""Whole networks: published outputs, parameters, compile, export, refused input."""

import functools
import subprocess
import sys

import pytest
import torch

from healswin.equivariance import check_equivariance, equivariance_error, haar_rotations
from s2cnn_baselines import (
    CNN_CLASSIFIERS,
    CNN_SEGMENTERS,
    CNNClassifier,
    CNNSegmenter,
    CNNSize,
    S2CNNClassifier,
    S2CNNDeepClassifier,
    S2CNNSegmenter,
    rotate_s2,
)
from s2cnn_baselines.harmonics import s2_irfft, s2_size

TINY = {"bandwidth": 4, "features": (2, 3), "bandwidths": (3, 4), "max_beta": (0.2, 0.3, 0.2)}
TINY_CNN = CNNSize((4, 5), (5, 3), (2, 1))


def tiny(**arguments):
    return S2CNNSegmenter(num_classes=3, n_alpha=4, n_beta=2, n_gamma=4, **TINY, **arguments)


def relative(a, b):
    b = torch.as_tensor(b).to(a)
    return ((a - b).abs().max() / b.abs().max()).item()


def published(arrays):
    args = arrays["meta"]["args"]
    if "b_ls" in args:
        return S2CNNSegmenter(
            args["b_in"],
            "soft",
            args["f_in"],
            args["f_out"],
            features=args["fs"],
            bandwidths=args["b_ls"],
            max_beta=args["kernel_max_beta"],
            use_skips=args["use_skips"],
        )
    size = CNNSize(tuple(args["fs"]), tuple(args["k_sizes"]), tuple(args["strides"]))
    sizes = (args["dim_in"] // 2, "soft", args["f_in"], args["f_out"])
    return CNNSegmenter(*sizes, size=size, use_skips=args["use_skips"])


@pytest.mark.parametrize("name", ["segnet_noskip", "segnet_skip", "cnn_noskip", "cnn_skip"])
def test_published_network(name, golden, precision):
    arrays = golden(name)
    network = published(arrays)
    state = {key[3:]: torch.from_numpy(a) for key, a in arrays.items() if key.startswith("sd/")}
    network.load_state_dict(state, strict=True)
    x = torch.from_numpy(arrays["x"]).to(precision.dtype).requires_grad_()
    y = network(x)
    assert relative(y, arrays["y64"]) < precision.golden
    (y * torch.from_numpy(arrays["grad_y"])).sum().backward()
    # The published gradients are float32.
    assert relative(x.grad, arrays["grad_x"]) < 1e-5
    for key, parameter in network.named_parameters():
        assert relative(parameter.grad, arrays[f"grad/{key}"]) < 2e-5, key


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_published_parameters_of_classifiers():
    assert parameters(S2CNNClassifier()) == 154_550
    assert parameters(S2CNNClassifier(so3_grid=(6, 2, 6))) == 58_550
    assert parameters(S2CNNDeepClassifier()) == 156_882


@pytest.mark.slow
def test_published_parameters_of_the_segmenter():
    assert parameters(S2CNNSegmenter()) == 204_073
    assert parameters(S2CNNSegmenter(use_skips=True)) == 205_088


def test_published_parameters_of_cnns():
    with torch.device("meta"):
        counts = [parameters(CNNSegmenter(size=size)) for size in CNN_SEGMENTERS]
        others = [parameters(CNNClassifier(size=size)) for size in CNN_CLASSIFIERS]
    assert counts == [218_144, 1_042_013, 5_519_335]
    assert others == pytest.approx([58_550, 155_000], rel=0.02)


def test_cnns_keep_the_size():
    for strides in ((1, 1, 1), (2, 2, 2), (3, 2, 1)):
        size = CNNSize((2, 3, 4), (5, 2, 3), strides)
        network = CNNSegmenter(20, "driscoll-healy", 2, 3, size=size)
        assert network(torch.randn(2, 2, 40, 40)).shape == (2, 3, 40, 40)
    network = CNNClassifier(10, "soft", 2, 7, size=TINY_CNN)
    assert network(torch.randn(3, 2, 20, 20)).shape == (3, 7)


@pytest.mark.parametrize("network", [S2CNNClassifier, S2CNNDeepClassifier])
def test_classifiers_train_and_hardly_turn(network):
    network = network()
    x = torch.zeros(2, 1, s2_size(30), dtype=torch.complex128)
    x[..., : s2_size(4)] = torch.randn(2, 1, s2_size(4))
    x = s2_irfft(x).float()
    network(x).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    turns = [functools.partial(rotate_s2, rotation=r) for r in haar_rotations(2, 3)]
    report = check_equivariance(network, x, turns, transform_output=lambda y: y, tolerance=0.05)
    assert len(report.errors) == 2


@pytest.mark.parametrize("use_skips", [False, True])
def test_segmenter_errs_by_its_relu_only_and_less_at_a_higher_bandwidth(use_skips, double):
    errors = []
    for scale in (1, 4):
        torch.manual_seed(1)
        network = S2CNNSegmenter(
            bandwidth=5 * scale,
            num_classes=2,
            features=(2, 3, 2),
            bandwidths=(5 * scale, 4 * scale, 5 * scale),
            max_beta=(0.2, 0.2, 0.2, 0.2),
            use_skips=use_skips,
        )
        x = torch.zeros(1, 1, s2_size(5 * scale), dtype=torch.complex128)
        x[..., : s2_size(4)] = torch.randn(1, 1, s2_size(4))
        x = s2_irfft(x)
        turn = functools.partial(rotate_s2, rotation=haar_rotations(1, 3)[0])
        errors.append(equivariance_error(network, x, turn).relative)
    assert errors[0] > 2 * errors[1]


@pytest.mark.parametrize("use_skips", [False, True])
def test_evaluation_and_training_agree(use_skips):
    network = tiny(use_skips=use_skips)
    x = torch.randn(2, 1, 8, 8)
    y = network(x).detach()
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(x), y)
        torch.testing.assert_close(network(x), y)
    for parameter in network.parameters():
        parameter.data.mul_(0.5)
    again = network(x)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), again.detach())


@pytest.mark.parametrize(
    "build",
    [
        tiny,
        functools.partial(tiny, use_skips=True),
        functools.partial(
            S2CNNDeepClassifier, 4, bandwidths=(4, 3), features=(2, 3), max_beta=(0.1,) * 2
        ),
    ],
)
def test_autocast_lowers_nothing_in_networks(build):
    network = build()
    layers = network.convolutional if isinstance(network, S2CNNDeepClassifier) else network
    x = torch.randn(2, 1, 8, 8)
    results = []
    for enabled in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            features = layers(x)
            features.square().mean().backward()
        results.append([features, *(p.grad for p in layers.parameters())])
    assert results[1][0].dtype == torch.float32
    assert all(map(torch.equal, *results))


def compile_and_compare(backend):
    network = tiny(use_skips=backend == "aot_eager")
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    x = torch.randn(2, 1, 8, 8, requires_grad=True)
    results = []
    for module in (network, compiled):
        y = module(x)
        gradients = torch.autograd.grad(y.square().sum(), [x, *network.parameters()])
        results.append([y, *gradients])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


# In a process of its own the shapes of every call are not checked, which a compiler cannot read
# through. "inductor" generates code, which takes a minute.
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compile(backend):
    done = subprocess.run(
        [sys.executable, __file__, backend], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("use_skips", [False, True])
def test_export(use_skips):
    network = tiny(use_skips=use_skips).eval()
    x = torch.randn(2, 1, 8, 8)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (x,), dynamic_shapes={"x": {0: batch}})
    for samples in (1, 2, 5):
        x = torch.randn(samples, 1, 8, 8)
        torch.testing.assert_close(program.module()(x), network(x))


@pytest.mark.parametrize(
    "call",
    [
        lambda: S2CNNSegmenter(features=(2, 3), bandwidths=(4,), max_beta=(0.1, 0.1, 0.1)),
        lambda: S2CNNSegmenter(features=(), bandwidths=(), max_beta=(0.1,)),
        lambda: S2CNNSegmenter(bandwidth=4, features=(2,), bandwidths=(5,), max_beta=(0.1, 0.1)),
        lambda: S2CNNDeepClassifier(features=(8, 16)),
        lambda: CNNSegmenter(size=CNNSize((4, 5), (3,), (1, 1))),
        lambda: CNNSegmenter(size=CNNSize((4, 5), (3, 3), (1, 0))),
        lambda: CNNSegmenter(2, size=TINY_CNN),
        lambda: CNNSegmenter(size="enormous"),
        lambda: CNNSegmenter(0),
        lambda: CNNClassifier(size=CNNSize((), (), ())),
        lambda: tiny()(torch.zeros(1, 1, 6, 6)),
        lambda: tiny()(torch.zeros(1, 2, 8, 8)),
        lambda: tiny()(torch.zeros(1, 1, 8, 8, dtype=torch.float16)),
        lambda: CNNSegmenter(10, size=TINY_CNN)(torch.zeros(1, 1, 21, 20)),
        lambda: CNNClassifier(10, size=TINY_CNN)(torch.zeros(1, 2, 20, 20)),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError, match=r"must|x |b_out|image_size|there"):
        call()


if __name__ == "__main__":
    compile_and_compare(sys.argv[1])
