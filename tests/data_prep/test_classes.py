import itertools

import numpy as np
import pytest

from data_prep.classes import (
    SYNWOODSCAPE_CLASSES,
    WOODSCAPE_CLASSES,
    ClassList,
    distinct_colours,
    find_class_list,
    read_class_list,
)
from data_prep.readers import FolderReader, SynWoodScapeReader


@pytest.mark.parametrize("name", SYNWOODSCAPE_CLASSES)
def test_ids_become_the_class_of_their_name(name):
    classes = SYNWOODSCAPE_CLASSES[name]
    original = SYNWOODSCAPE_CLASSES["all"].names
    assert len(classes.class_of_id) == 25
    for id_, class_ in enumerate(classes.class_of_id):
        if class_:
            assert classes.names[class_] == original[id_]


def nearest_pair(colours):
    colours = np.array(colours)
    assert ((colours >= 0) & (colours <= 255)).all()
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2))


@pytest.mark.parametrize("name", SYNWOODSCAPE_CLASSES)
def test_colours_can_be_told_apart(name):
    assert nearest_pair(SYNWOODSCAPE_CLASSES[name].colours) > (20 if name == "all" else 40)


def test_woodscape_has_ten_classes():
    classes = WOODSCAPE_CLASSES["all"]
    assert classes.class_of_id == tuple(range(10))
    assert classes.names[6:] == ("vehicles", "bicycle", "motorcycle", "traffic_sign")
    assert nearest_pair(classes.colours) > 40


@pytest.mark.parametrize("taken", [(), SYNWOODSCAPE_CLASSES["all"].colours])
def test_colours_that_are_made_can_be_told_apart(taken):
    colours = distinct_colours(30, taken)
    assert len(colours) == 30
    assert nearest_pair([*colours, *taken]) > 20
    assert colours[:7] == distinct_colours(7, taken)
    assert nearest_pair(distinct_colours(254)) > 0


def test_classes_of_every_id():
    ids = np.arange(25, dtype=np.uint8).reshape(5, 5)
    classes = SYNWOODSCAPE_CLASSES["large-ad"]
    expected = np.array(classes.class_of_id).reshape(5, 5)
    np.testing.assert_array_equal(classes.classes_of(ids, "a.png"), expected)


def test_unknown_ids_are_named():
    ids = np.array([[0, 24], [200, 25]], dtype=np.uint8)
    with pytest.raises(ValueError, match=r"^a.png holds the unknown class ids 25, 200; the ids"):
        SYNWOODSCAPE_CLASSES["large"].classes_of(ids, "a.png")


@pytest.mark.parametrize(
    ("colours", "class_of_id", "weights", "match"),
    [
        (((0, 0, 0),), (0, 1), None, "as many colours"),
        (((0, 0, 0), (1, 1, 1)), (0, 1), (1.0,), "as many colours and weights"),
        (((0, 0, 0), (1, 1, 1)), (0, 0), None, "must reach every class 0..1"),
        (((0, 0, 0), (1, 1, 1)), (0, 2), None, "must reach every class 0..1"),
        (((0, 0, 0), (1, 1, 1)), (0, 1, *[-1] * 255), None, "257 entries, ids are 0 to 255"),
    ],
)
def test_lists_that_do_not_fit(colours, class_of_id, weights, match):
    with pytest.raises(ValueError, match=match):
        ClassList(("a", "b"), colours, class_of_id, weights)


def test_too_many_classes():
    many = tuple(range(255))
    with pytest.raises(ValueError, match="255 classes: there must be 1 to 254"):
        ClassList(tuple(map(str, many)), ((0, 0, 0),) * 255, many)


def test_ids_that_are_ignored_or_not_known():
    classes = ClassList(("a", "b"), ((0, 0, 0), (1, 1, 1)), (1, -1, 255, 0))
    ids = np.array([[0, 2], [3, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(classes.classes_of(ids, "a.png"), [[1, 255], [0, 255]])
    for unknown in (1, 4, 254):
        ids[0, 0] = unknown
        with pytest.raises(ValueError, match=rf"ids {unknown}; the ids are 0, 2 to 3, and 255 is"):
            classes.classes_of(ids, "a.png")


@pytest.fixture
def write(tmp_path):
    def write_list(text):
        path = tmp_path / "classes.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_list


def test_a_list_with_ids_colours_and_weights(write):
    text = """
    classes:
      - {name: void, ids: [0, 1, 4], colour: [30, 31, 32], weight: 1}
      - {name: straße, ids: [3], weight: 0.5}
    ignored: [5]
    """
    classes = read_class_list(write(text))
    assert classes.names == ("void", "straße")
    assert classes.colours[0] == (30, 31, 32)
    assert classes.class_of_id == (0, 0, -1, 1, 0, 255)
    assert classes.published_weights == (1.0, 0.5)


@pytest.mark.parametrize("text", ["classes: [void, road]", "[void, road]", "- void\n- name: road"])
def test_plain_names_have_their_place_as_id(write, text):
    classes = read_class_list(write(text))
    assert classes.names == ("void", "road")
    assert classes.class_of_id == (0, 1)
    assert classes.published_weights is None
    assert len(set(classes.colours)) == 2


def test_the_id_255_may_be_a_class(write):
    classes = read_class_list(write("[{name: a, ids: [0]}, {name: b, ids: [255]}]"))
    ids = np.array([[0, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(classes.classes_of(ids, "a.png"), [[0, 1]])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("classes: [", "is no valid YAML"),
        ("", "a list 'classes' is needed"),
        ("classes: {void: 0}", "a list 'classes' is needed"),
        ("classes: []", "a list 'classes' is needed"),
        ("{classes: [a], weights: [1]}", "the file has the entry 'weights'"),
        ("[{name: a, id: 3}]", "class 'a' has the entry 'id', known are"),
        ("[a, {ids: [3]}]", "class 1 must be a name, or have one"),
        ("[a, 3]", "class 1 must be a name, or have one"),
        ("[a, b, a]", "the class name 'a' is doubled"),
        ("[{name: a, ids: [0]}, b]", "class 'b' has no 'ids', but others have"),
        ("[{name: a, ids: 3}]", "the ids of 'a' are 3, a list of numbers is needed"),
        ("[{name: a, ids: []}]", r"the ids of 'a' are \[\], a list"),
        ("[{name: a, ids: [256]}]", "'a' has the id 256, ids are whole numbers 0 to 255"),
        ("[{name: a, ids: [true]}]", "'a' has the id True"),
        ("[{name: a, ids: [0]}, {name: b, ids: [0]}]", "the id 0 is listed twice"),
        ("{classes: [a], ignored: [0]}", "the id 0 is listed twice"),
        ("{classes: [a], ignored: 7}", "the ids of 'ignored' are 7"),
        ("[{name: a, colour: red}]", "the colour of 'a' is 'red', three numbers 0 to 255"),
        ("[{name: a, colour: [0, 0, 256]}]", r"the colour of 'a' is \[0, 0, 256\]"),
        ("[{name: a, weight: -1}]", "the weight of 'a' is -1, a number from 0 on is needed"),
        ("[{name: a, weight: 1}, b]", "the weight of 'b' is None"),
    ],
)
def test_lists_that_are_wrong_are_named(write, text, match):
    with pytest.raises(ValueError, match=rf"classes\.yaml .*{match}"):
        read_class_list(write(text))


def test_the_list_of_a_source(tmp_path, write):
    reader = SynWoodScapeReader(tmp_path)
    assert find_class_list(reader, None) is SYNWOODSCAPE_CLASSES["large-ad"]
    assert find_class_list(reader, "large") is SYNWOODSCAPE_CLASSES["large"]
    with pytest.raises(ValueError, match=r"classes='tiny' must be one of .*'large'.* or a \.yaml"):
        find_class_list(reader, "tiny")
    folder = FolderReader(tmp_path)
    with pytest.raises(ValueError, match=r"classes\.yaml is missing: it says"):
        find_class_list(folder, None)
    with pytest.raises(ValueError, match=r"the class list elsewhere\.yaml is missing"):
        find_class_list(folder, "elsewhere.yaml")
    path = write("[void, road]")
    assert find_class_list(folder, None).names == ("void", "road")
    assert find_class_list(reader, str(path)).names == ("void", "road")
