import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

import healswin
from healswin.zoo import ModelCard, ZooModel
from healswin.zoo.files import sha256_of

FILES = {"config.json", "model.safetensors", "README.md"}


@pytest.fixture
def saved(make_model, tmp_path):
    folder = tmp_path / "saved"
    make_model().save_pretrained(folder)
    return folder


def equal(a, b):
    theirs = b.state_dict()
    return list(a.state_dict()) == list(theirs) and all(
        torch.equal(value, theirs[name]) for name, value in a.state_dict().items()
    )


def change(folder, **changes):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **changes}))


def test_a_folder_round_trips(make_model, saved):
    assert {path.name for path in saved.iterdir()} == FILES
    model = make_model()
    for source in (saved, str(saved), saved / "model.safetensors", saved / "config.json"):
        loaded = healswin.load_model(source)
        assert equal(loaded, model)
        assert loaded.config == model.config
        assert not loaded.training
    assert equal(ZooModel.from_pretrained(saved), model)


def test_loading_leaves_random_numbers_alone(saved):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    healswin.load_model(saved)
    assert torch.equal(torch.rand(4), expected)


def test_a_lone_file_of_weights_is_enough(make_model, saved, tmp_path):
    lone = tmp_path / "elsewhere" / "street.safetensors"
    lone.parent.mkdir()
    os.rename(saved / "model.safetensors", lone)
    loaded = healswin.load_model(lone)
    assert equal(loaded, make_model())
    assert loaded.config == make_model().config


def test_plain_weights_take_the_configuration_beside_them(make_model, saved):
    path = saved / "other.safetensors"
    save_file(make_model(seed=1).network.state_dict(), path)
    assert equal(healswin.load_model(path), make_model(seed=1))
    (saved / "config.json").unlink()
    with pytest.raises(ValueError, match=r"other\.safetensors says nothing of its network"):
        healswin.load_model(path)


def test_half_the_size_loads_as_float32(make_model, saved, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path / "half", half=True)
    small, large = (f / "model.safetensors" for f in (tmp_path / "half", saved))
    weights = sum(p.numel() for p in model.parameters())
    assert large.stat().st_size - small.stat().st_size == pytest.approx(2 * weights, rel=0.05)
    loaded = healswin.load_model(tmp_path / "half")
    for name, value in model.state_dict().items():
        assert loaded.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    # Stored again nothing changes, so that figures measured after loading belong to the file.
    loaded.save_pretrained(tmp_path / "again", half=True)
    assert sha256_of(tmp_path / "again" / "model.safetensors") == sha256_of(small)


def test_counters_stay_whole_and_large_values_are_refused(make_model, tmp_path):
    model = make_model()
    model.network.register_buffer("steps", torch.tensor(100_000))
    model.save_pretrained(tmp_path, half=True)
    assert load_file(tmp_path / "model.safetensors")["steps"] == 100_000
    with torch.no_grad():
        model.network.head.classes.weight[0, 0] = 1e5
    with pytest.raises(ValueError, match=r"head\.classes\.weight has values above 65504"):
        model.save_pretrained(tmp_path, half=True)


def test_a_card_stays_unless_another_is_given(make_model, tmp_path):
    model = make_model()
    (tmp_path / "README.md").write_text("by hand")
    model.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "by hand"
    model.save_pretrained(tmp_path, card=ModelCard(licence="MIT"))
    assert "license: mit" in (tmp_path / "README.md").read_text()
    # The configuration keeps the card, so that a copy has the same one.
    healswin.load_model(tmp_path).save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "README.md").read_text() == (tmp_path / "README.md").read_text()


def test_saving_over_a_model_leaves_nothing_behind(make_model, saved):
    make_model(seed=1).save_pretrained(saved)
    assert {path.name for path in saved.iterdir()} == FILES
    assert equal(healswin.load_model(saved), make_model(seed=1))


def test_a_mixins_configuration_is_refused(make_model, tmp_path):
    with pytest.raises(ValueError, match="config must be None"):
        make_model().save_pretrained(tmp_path, config={"a": 1})


def test_damaged_and_swapped_weights_are_noticed(make_model, saved):
    weights = saved / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for source in (saved, weights):
        with pytest.raises(ValueError, match=r"model\.safetensors has the SHA-256"):
            healswin.load_model(source)
    save_file(make_model(seed=1).network.state_dict(), weights)
    with pytest.raises(ValueError, match="belongs to another model"):
        healswin.load_model(saved)


@pytest.mark.parametrize("length", [0, 5, 100, 1000])
def test_files_that_were_cut_are_no_weights(saved, length):
    content = (saved / "model.safetensors").read_bytes()
    cut = saved / "cut.safetensors"
    cut.write_bytes(content[:length])
    with pytest.raises(ValueError, match=r"cut\.safetensors is no whole safetensors file"):
        healswin.load_model(cut)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_names_it(saved, missing):
    (saved / missing).unlink()
    with pytest.raises(ValueError, match=f"{missing} is missing"):
        healswin.load_model(saved)


def test_configurations_that_cannot_be_used_name_the_file(saved):
    good = (saved / "config.json").read_text()
    for text, message in [
        ("{", r"config\.json: Expecting"),
        ("[]", r"config\.json: the configuration is list"),
        (good.replace('"task": "segmentation",', ""), r"config\.json: fields \['task'\] are miss"),
        (good.replace('"format_version": 1', '"format_version": 2'), "format_version=2"),
        (good.replace('"in_chans"', '"chans"'), r"fields \['chans'\] are not known"),
    ]:
        (saved / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            healswin.load_model(saved)
    (saved / "config.json").write_bytes(b"\xff\xfa{}")
    with pytest.raises(ValueError, match=r"config\.json: .*decode"):
        healswin.load_model(saved)


def test_networks_that_cannot_be_built_say_why(saved):
    change(saved, model="resnet50")
    with pytest.raises(ValueError, match="saved describes no network: model 'resnet50' is not"):
        healswin.load_model(saved)
    change(saved, model="healswin_tiny", arguments={"colour": 3})
    with pytest.raises(ValueError, match=r"describes no network: .*colour"):
        healswin.load_model(saved)


def test_weights_of_another_network_are_told_by_names_and_shapes(saved):
    arguments = json.loads((saved / "config.json").read_text())["arguments"]
    change(saved, arguments={**arguments, "embed_dim": 8})
    with pytest.raises(
        ValueError, match=r"do not fit .*\(12, 4\) instead of \(24, 8\) and \d+ more of"
    ):
        healswin.load_model(saved)
    change(saved, arguments={**arguments, "depths": [1, 2]})
    with pytest.raises(ValueError, match=r"encoder\.stages\.1\.blocks\.1\..* missing$"):
        healswin.load_model(saved)
    change(saved, arguments={**arguments, "head": "classification"})
    with pytest.raises(ValueError, match=r"head\.classes\.bias missing; .* not known"):
        healswin.load_model(saved)


def test_what_is_no_model_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"nothing/here does not exist"):
        healswin.load_model("nothing/here")
    with pytest.raises(ValueError, match=r"best\.ckpt does not exist"):
        healswin.load_model("best.ckpt")
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        healswin.load_model(tmp_path)
    for x in ("", None, 3):
        with pytest.raises(ValueError, match=f"x={x!r} must be the name or the path"):
            healswin.load_model(x)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match=r"mine/config\.json is missing"):
        healswin.load_model("mine")


def test_a_device_that_is_not_there_is_refused(saved):
    with pytest.raises(ValueError, match="device='warp' cannot be used"):
        healswin.load_model(saved, device="warp")
    assert healswin.load_model(saved, device="meta").device.type == "meta"
