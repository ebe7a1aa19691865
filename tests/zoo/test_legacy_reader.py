"""Files of torch.save without torch.load: equal numbers, and nothing of a hostile file is run."""

import collections
import io
import os
import pathlib
import pickle
import struct
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch

from healswin.zoo import inert_pickle, torch_file
from healswin.zoo.inert_pickle import Record, Reference, read_pickle
from healswin.zoo.torch_file import read_pickle_file, read_torch_file, stored_tensor


def read(data):
    return read_pickle(io.BytesIO(data)).value


def saved(tmp_path, value, **options):
    path = tmp_path / "file.pt"
    torch.save(value, path, **options)
    return path


def tensors_of(path):
    file = read_torch_file(path)
    return file.tensors({name: stored_tensor(value) for name, value in file.value.items()})


def same(a, b):
    """Equal in type, shape and every bit."""
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}
    bits = whole[a.dtype.itemsize]
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.view(bits), b.view(bits))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_what_pickle_reads(protocol):
    shared = [1, 2]
    value = {
        "numbers": [0, -1, 255, 65536, 2**40, -(2**70), 1.5, float("inf"), True, False, None],
        "texts": ["", "häl", "x" * 300, "line\nline"],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        3: {"nested": {(1, "a"): shared, 2.5: shared}},
        "many": list(range(2000)),
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
    }
    result = read(pickle.dumps(value, protocol))
    assert result == value
    assert list(result["ordered"]) == ["b", "a"]
    nested = result[3]["nested"]
    assert nested[(1, "a")] is nested[2.5]


def test_sets_bytes_and_cycles():
    value = [{1, "a"}, frozenset({2}), b"x", b"y" * 300, bytearray(b"z")]
    assert read(pickle.dumps(value[:4], 5)) == value[:4]
    assert read(pickle.dumps(value[4], 5)) == b"z"
    cycle = []
    cycle.append(cycle)
    result = read(pickle.dumps(cycle))
    assert result[0] is result


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_objects_are_records(protocol):
    value = [types.SimpleNamespace(a=1), pathlib.PurePosixPath("/x/y"), np.float64(2.5), np.ndarray]
    space, path, number, by_reference = read(pickle.dumps(value, protocol))
    assert space.state == {"a": 1}
    assert path.args[-1] == "y"
    assert str(number.kind).endswith("multiarray.scalar")
    assert by_reference == Reference("numpy", "ndarray")


@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_come_out_bit_by_bit(tmp_path, zipped):
    types_ = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 complex64 complex128"
    value = {
        name: torch.arange(-3, 9).view(2, 6).to(getattr(torch, name)) for name in types_.split()
    }
    value["nan"] = torch.tensor([float("nan"), -0.0, float("-inf")])
    value["bool"] = torch.tensor([True, False, True])
    value["empty"] = torch.empty(0, 3)
    value["scalar"] = torch.tensor(7.0)
    value["parameter"] = torch.nn.Parameter(torch.rand(2, 3))
    path = saved(tmp_path, value, _use_new_zipfile_serialization=zipped)
    for name, tensor in tensors_of(path).items():
        assert same(tensor, value[name].detach()), name


@pytest.mark.parametrize("zipped", [True, False])
def test_views_share_their_storage(tmp_path, zipped):
    base = torch.arange(24.0)
    value = {
        "base": base,
        "turned": base.view(4, 6).T,
        "part": base[5:15:3],
        "window": base.as_strided((3, 4), (2, 1), 7),
    }
    read_back = tensors_of(saved(tmp_path, value, _use_new_zipfile_serialization=zipped))
    for name, tensor in read_back.items():
        assert same(tensor.contiguous(), value[name].contiguous()), name
        assert tensor.stride() == value[name].stride()
    assert len({t.untyped_storage().data_ptr() for t in read_back.values()}) == 1


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_other_devices_are_read_to_the_cpu(tmp_path, monkeypatch, zipped):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    path = saved(tmp_path, {"a": torch.arange(5.0)}, _use_new_zipfile_serialization=zipped)
    assert b"cuda:0" in path.read_bytes()
    assert same(tensors_of(path)["a"], torch.arange(5.0))


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    value = {"wanted": torch.ones(3), "optimizer": torch.ones(1000)}
    file = read_torch_file(saved(tmp_path, value))
    read_bytes = []
    plain_read = torch_file.TorchFile._storage

    def counted(self, stream, tensor, name):
        result = plain_read(self, stream, tensor, name)
        read_bytes.append(result.nbytes)
        return result

    monkeypatch.setattr(torch_file.TorchFile, "_storage", counted)
    file.tensors({"wanted": stored_tensor(file.value["wanted"])})
    assert read_bytes == [12]


class Hostile:
    """Pickled, it is a call."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


def attacks_on(mark):
    """Calls that make a file, or import a module."""
    return [
        Hostile(os.system, f"touch {mark}"),
        Hostile(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
        Hostile(exec, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
        Hostile(pathlib.Path.touch, mark),
        Hostile(getattr, Hostile(__import__, "this"), "s"),
    ]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_calls_are_not_made(tmp_path, protocol, zipped):
    mark = tmp_path / "mark"
    attacks = attacks_on(mark)
    path = saved(tmp_path, attacks, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    value = read_torch_file(path).value
    assert [type(attack) for attack in value] == [Record] * len(attacks)
    assert str(value[1].kind).endswith(".eval")
    assert value[4].args[0].args == ("this",)
    assert not mark.exists()
    assert "this" not in sys.modules
    # Each of the first ones would have done it.
    for attack in attacks[:4]:
        pickle.loads(pickle.dumps(attack))
        mark.unlink()


def test_names_and_states_reach_nothing(tmp_path):
    mark = tmp_path / "mark"
    # cos\nsystem, marked arguments, REDUCE; then the state of what it returned.
    data = b"cos\nsystem\n(Vtouch " + str(mark).encode() + b"\ntR}Vx\nI1\nsb."
    record = read(data)
    assert record.kind == Reference("os", "system")
    assert record.state == {"x": 1}
    # A dotted name, the class that INST and OBJ make, a state for __setstate__ of a class.
    assert read(b"\x80\x04\x8c\x08builtins\x8c\x0dobject.__base\x93.") == Reference(
        "builtins", "object.__base"
    )
    assert read(b"(Vls\nios\nsystem\n.").args == ("ls",)
    assert read(b"(cos\nsystem\nVls\no.").args == ("ls",)
    assert not mark.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a pickle",
        b"\x80\x04",
        b".",
        b"0.",
        b"1.",
        b"R.",
        b"t.",
        b"h\x07.",
        b"]\x85R.",
        b"(I1\nd.",
        b"](I1\nI2\nu.",
        b"}I1\na.",
        b"]I1\nb.",
        b"I1\nI2\nb.",
        b"cos\nsystem\n}b.",
        b"\x82\x01.",
        b"\x97.",
        b"I1\nI2\n\x93.",
        b"ccollections\nOrderedDict\n(I1\ntR.",
        b"ccollections\nOrderedDict\n(](I1\naatR.",
        b"}]I1\ns.",
        b"}((I1\ntt\x85I1\ns.",
        b"}L" + str(2**80).encode() + b"L\nI1\ns.",
        b"\x8f(]\x90.",
        b"I" + b"9" * 5000 + b"\n.",
        # What it claims to hold would fill any memory.
        b"\x8e" + struct.pack("<Q", 2**62) + b"x.",
        b"\x8d" + struct.pack("<Q", 2**40) + b"x.",
        b"\x96" + struct.pack("<Q", 2**63) + b"x.",
        b"\x8b" + struct.pack("<I", 2**31 - 1) + b"x.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**50) + b"x",
    ],
)
def test_no_pickle_of_data(data):
    with pytest.raises(ValueError, match="no pickle that can be read"):
        read(data)


def test_a_place_in_the_memo_costs_no_memory():
    # The unpickler of Python below 3.14 reserves a table of as many places.
    assert read(b"I7\nr\xff\xff\xff\x7f0j\xff\xff\xff\x7f.") == 7


def test_deep_and_repeated_structures_end(monkeypatch):
    deep = read(b"]" * 1 + b"\x85" * 20_000 + b".")
    assert isinstance(deep, tuple)
    del deep
    doubled = b"I1\n\x85" + b"2\x86" * 200 + b"."
    assert len(read(doubled)) == 2
    with pytest.raises(ValueError, match="nested tuple as a key"):
        read(b"}" + doubled[:-1] + b"I1\ns.")
    monkeypatch.setattr(inert_pickle, "MAX_INSTRUCTIONS", 1000)
    with pytest.raises(ValueError, match="more than 1000 instructions"):
        read(b"N" * 2000 + b".")


def described(shape=(2,), stride=(1,), offset=0, count=4, kind="FloatStorage", key="0", extra=()):
    identity = ("storage", Reference("torch", kind), key, "cpu", count, *extra)
    external = inert_pickle.External(identity)
    rebuild = Reference("torch._utils", "_rebuild_tensor_v2")
    return Record(rebuild, (external, offset, shape, stride, False, {}))


def test_described_tensors():
    tensor = stored_tensor(described(shape=(2, 2), stride=(1, 2)))
    assert (tensor.shape, tensor.stride, tensor.dtype) == ((2, 2), (1, 2), torch.float32)
    assert stored_tensor(described(shape=(0, 3), stride=(3, 1), count=0)).shape == (0, 3)
    assert stored_tensor(Record(Reference("os", "system"), ("ls",))) is None
    assert stored_tensor(3) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (5,)},
        {"offset": 3},
        {"stride": (4,)},
        {"shape": (-1,)},
        {"shape": (1.5,)},
        {"stride": (-1,)},
        {"offset": True},
        {"shape": (2**62, 2**62), "stride": (0, 0)},
        {"shape": (1,) * 65, "stride": (1,) * 65},
        {"stride": (1, 1)},
        {"shape": 4},
        {"count": -4},
        {"count": 4.0},
        {"kind": "PickleStorage"},
        {"key": "../../etc/passwd"},
        {"key": "٣"},
        {"key": 3},
        {"extra": (("0", 0, 2),)},
        {"extra": (1, 2)},
    ],
)
def test_tensors_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=r"a tensor|a storage|the storage|beside the pickle"):
        stored_tensor(described(**wrong))


def test_a_tensor_of_an_unknown_kind_is_refused():
    record = Record(Reference("torch._utils", "_rebuild_qtensor"), ())
    with pytest.raises(ValueError, match=r"_rebuild_qtensor are not known"):
        stored_tensor(record)


def rewritten(path, change, **options):
    """A copy of an archive whose members went through a function (name, data) -> pairs."""
    target = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", **options) as new:
        for name in old.namelist():
            for member in change(name, old.read(name)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    new.writestr(*member)
    return target


ARCHIVES = {
    "short": (lambda n, d: [(n, d[:8] if n.endswith("data/0") else d)], "needs a storage of 4"),
    "gone": (lambda n, d: [] if n.endswith("data/0") else [(n, d)], "are not in the file"),
    "elsewhere": (
        lambda n, d: [(n.replace("data/0", "data/../data/0"), d)],
        "are not in the file",
    ),
    "twice": (lambda n, d: [(n, d)] * 2, "two files in it have the name"),
    "two pickles": (lambda n, d: [(n, d), (n.replace("file/", "other/"), d)], "the one data.pkl"),
    "none": (lambda n, d: [] if n.endswith(".pkl") else [(n, d)], "the one data.pkl"),
    "program": (
        lambda n, d: (
            [(n, d), (n.replace("data.pkl", "constants.pkl"), b"")]
            if n.endswith(".pkl")
            else [(n, d)]
        ),
        "holds a program",
    ),
    "big-endian": (
        lambda n, d: [(n, b"big" if n.endswith("byteorder") else d)],
        "little-endian",
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_are_refused(tmp_path, name):
    change, message = ARCHIVES[name]
    path = rewritten(saved(tmp_path, {"a": torch.arange(4.0)}), change)
    with pytest.raises(ValueError, match=message):
        tensors_of(path)


def test_compressed_archives_are_refused(tmp_path):
    path = saved(tmp_path, {"a": torch.zeros(1000)})
    small = rewritten(path, lambda n, d: [(n, d)], compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        read_torch_file(small)


def test_too_large_a_pickle_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, {"a": torch.zeros(10)})
    (tmp_path / "config").write_bytes(pickle.dumps({"x": "y" * 1000}))
    monkeypatch.setattr(torch_file, "MAX_PICKLE_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100"):
        read_torch_file(path)
    with pytest.raises(ValueError, match="more than 100"):
        read_pickle_file(tmp_path / "config")


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_is_found_wherever_it_is(tmp_path, zipped):
    value = {"a": torch.arange(64.0)}
    path = saved(tmp_path, value, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    cut = tmp_path / "cut.pt"
    for length in range(0, len(whole), 31):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.pt"):
            tensors_of(cut)
    # Anything may become of a changed byte but another error or, with a checksum, other numbers.
    changed = bytearray(whole)
    for place in range(0, len(whole), 23):
        changed[place] ^= 0x5A
        cut.write_bytes(changed)
        changed[place] ^= 0x5A
        try:
            found = tensors_of(cut)
        except (ValueError, AttributeError):
            continue
        if zipped:
            assert list(found) != ["a"] or same(found["a"], value["a"])


def test_a_damaged_number_is_found_by_its_checksum(tmp_path):
    path = saved(tmp_path, {"a": torch.arange(64.0)})
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<f", 33.0), struct.pack("<f", 34.0)))
    with pytest.raises(ValueError, match=r"a are damaged \(CRC-32\)"):
        tensors_of(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "file.pt"
    for content in (b"", b"PK\x03\x04", b"\x89PNG....", pickle.dumps({"a": 1}), b"\x00" * 2000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"no file of torch\.save"):
            read_torch_file(path)
    with pytest.raises(FileNotFoundError):
        read_torch_file(tmp_path / "missing.pt")


def test_legacy_files_that_lie(tmp_path):
    path = saved(tmp_path, {"a": torch.arange(4.0)}, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    count = struct.pack("<q", 4)
    for wrong in (5, -1, 2**62, 2):
        path.write_bytes(count.join(data.rsplit(struct.pack("<q", wrong), 1)))
        place = data.rindex(count)
        path.write_bytes(data[:place] + struct.pack("<q", wrong) + data[place + 8 :])
        with pytest.raises(ValueError, match=r"ends before|needs a storage of 4"):
            tensors_of(path)
