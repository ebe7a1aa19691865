import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from idx_folder import write_idx_folder

from healswin import HealpixGrid
from healswin.models import HealSwin

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = {"embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 16}
TINY = ["--small", "--nside", "16", "--rounds", "1", "--threads", "1", "--construction-nside", "16"]


@pytest.fixture
def script(monkeypatch):
    """A function that loads a script of the benchmarks, and returns what it defines."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, "plain_twin", raising=False)
    threads = torch.get_num_threads()
    yield lambda name: runpy.run_path(str(BENCHMARKS / name))
    torch.set_num_threads(threads)


def rows(text):
    """Cells of the lines of Markdown tables, without the lines of dashes."""
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("|")]
    return [re.split(r" *\| *", line) for line in lines if not line.startswith("---")]


@pytest.mark.parametrize("base_pixels", [range(8), range(12)], ids=["fisheye", "sphere"])
@pytest.mark.parametrize("depths", [(2, 2), (1, 2, 3)])
def test_the_plain_twin_gives_the_output_of_the_network(script, base_pixels, depths):
    plain_twin = script("plain_twin.py")["PlainTwin"]
    grid = HealpixGrid(16, base_pixels)
    size = {**SMALL, "depths": depths, "num_heads": (1, 2, 4)[: len(depths)]}
    torch.manual_seed(1)
    network = HealSwin(grid.nside, grid.base_pixels, drop_path=0.0, **size)
    with torch.no_grad():  # fresh weights are too small for the windows to matter
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=parameter.shape[1] ** -0.5)
    twin = plain_twin(grid.nside, grid.base_pixels, **size).double()
    twin.load_state_dict(network.double().state_dict())
    # In float64: norms of eight channels blow the rounding of float32 up.
    x = torch.randn(2, 3, grid.num_pixels, dtype=torch.float64)
    with torch.no_grad():  # with it there are the fused kernels, below the written-out products
        # Not closer: the twin bounds the norms of queries and keys by 1e-12, here it is added.
        torch.testing.assert_close(twin(x), network.eval()(x), rtol=0, atol=1e-7)

    # In training mode, without dropout, the gradients are the same, too.
    (network.train()(x) ** 2).mean().backward()
    (twin(x) ** 2).mean().backward()
    of_twin = dict(twin.named_parameters())
    for name, parameter in network.named_parameters():
        gradient = parameter.grad
        tolerance = 1e-6 * gradient.abs().max().item() + 1e-12
        torch.testing.assert_close(of_twin[name].grad, gradient, rtol=0, atol=tolerance)


def test_model_prints_a_ratio_for_every_pair(script, capsys):
    script("model.py")["main"]([*TINY, "--only", "forward,step,gemm,construction,iso,runs,fused"])
    text = capsys.readouterr().out
    table = rows(text)
    assert table[0] == ["A, B", "A: median (min)", "B: median (min)", "A / B"]
    names = [row[0] for row in table[1:]]
    pairs = [
        "plain twin, ours",
        "its matrix products alone, ours",
        "healswin_base, healswin_iso_base",
        "whole stages, runs of tokens",
        "written-out attention, fused",
    ]
    expected = {f"{kind}: {pair}" for kind in ("forward", "step") for pair in pairs}
    assert set(names) == expected | {"construction at nside 16: plain twin, ours"}
    assert len(names) == len(set(names))
    for _, a, b, ratio in table[1:]:
        a, b = (float(re.fullmatch(r"([\d.]+) ms \([\d.]+\)", cell)[1]) for cell in (a, b))
        # The times are printed to 0.05 ms.
        assert (a - 0.051) / (b + 0.051) - 0.01 <= float(ratio)
        assert b < 0.1 or float(ratio) <= (a + 0.051) / (b - 0.051) + 0.01
    assert len(re.findall(r"^\* matrix products, .* GFLOP/s$", text, re.MULTILINE)) == 2


def test_other_presets_are_measured_against_their_matrix_products(script, capsys):
    main = script("model.py")["main"]
    main([*TINY, "--model", "healswin_tiny", "--only", "forward,gemm", "--dtype", "bf16"])
    names = [row[0] for row in rows(capsys.readouterr().out)[1:]]
    assert names == [f"{kind}: its matrix products alone, ours" for kind in ("forward", "step")]


def test_matrix_products_are_counted_as_torch_counts_them(script):
    """On the plain twin, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode

    model = script("model.py")
    bench = model["Bench"](model["parse"](TINY))
    for work in bench.kinds().values():
        work = work(bench.twin())
        with FlopCounterMode(display=False) as counter:
            work()
        assert bench.products(work)[1] == pytest.approx(counter.get_total_flops() / 1e9, rel=1e-9)


def test_sides_that_differ_are_not_compared(script):
    model = script("model.py")
    bench = model["Bench"](model["parse"](TINY))
    ours, twin = bench.ours("healswin_unet_paper"), bench.twin()
    with pytest.raises(AssertionError, match=r"the sides differ by .* above 0\.0001"):
        model["assert_same_output"](bench, twin, ours)
    twin.load_state_dict(ours.state_dict())
    model["assert_same_output"](bench, twin, ours)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_model_prints_memory():
    command = [sys.executable, BENCHMARKS / "model.py", *TINY, "--only", "memory"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    table = rows(text)[1:]
    assert [row[0].partition(": ")[2] for row in table] == [
        "plain twin, ours",
        "plain twin, ours with checkpointing",
    ]
    for _, a, b, ratio in table:
        assert float(a.removesuffix(" MB")) > 0 < float(b.removesuffix(" MB"))
        assert float(ratio) > 0


def test_structure_prints_its_tables(script, capsys):
    size = ["--nside", "8", "--channels", "4", "--heads", "1,2", "--lmax", "8"]
    script("structure.py")["main"]([*size, "--rotations", "1", "--seeds", "2", "--threads", "1"])
    table = rows(capsys.readouterr().out)
    assert table[0] == ["blocks", "attention", "norms", "heads: 1", "heads: 2"]
    assert len(table) == 1 + 5 * 2 * 2 + 2 + 1 + 2
    figures = {}
    for name, *_, figure in [row for row in table[1:] if not row[0].startswith("x +")]:
        mean, smallest, largest = map(float, re.findall(r"[\d.]+", figure))
        assert 0 < smallest <= mean <= largest
        figures[name] = mean
    assert figures["mean, mean"] < figures["published, published"]
    assert figures["pointwise MLPs only"] < figures["vertex windows, radial bias"]


@pytest.mark.slow
def test_mnist_runs_stop_go_on_and_are_done_once(tmp_path):
    source = write_idx_folder(tmp_path / "idx")
    command = [
        *(sys.executable, str(BENCHMARKS / "mnist.py"), "--source", str(source)),
        *("--runs", "classification/cnn_58k_r_r:0,1", "classification/cnn_58k_nr_r@0.5:0"),
        *("--data", str(tmp_path / "data")),
        *("--out", str(tmp_path / "runs"), "--limit", "4", "--minutes"),
    ]
    more = ["--more", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]

    def call(minutes):
        done = subprocess.run([*command, minutes, *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "goes on" in call("0")
    half, both = [row for row in rows(call("10")) if "cnn_58k" in row[0]]
    assert both[2] == "2"  # both seeds
    assert 0 <= float(both[3].split()[0]) <= 1
    assert half[0] == "`classification/cnn_58k_nr_r@0.5`"
    assert half[4] == "-"  # rotated digits are not turned again
    results = json.loads((tmp_path / "runs" / "results.json").read_text())
    assert set(results) == {
        "classification/cnn_58k_r_r:0",
        "classification/cnn_58k_r_r:1",
        "classification/cnn_58k_nr_r@0.5:0",
    }
    # What is tested on rotated digits was trained on upright ones.
    assert (tmp_path / "runs/classification/cnn_58k_nr_nr@0.5/seed0/checkpoints").is_dir()
    assert "-m healswin" not in call("10")
