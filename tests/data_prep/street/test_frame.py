from dataclasses import replace

import numpy as np

from data_prep.street import (
    Label,
    Renderer,
    build_scene,
    panorama_rays,
    render_frame,
    surround_cameras,
    take_frame,
    take_panorama,
)

SCENE = build_scene(9, 1)


def test_a_frame_is_reproducible_and_cameras_have_noise_of_their_own():
    cameras = surround_cameras(96, 72)
    first, second = render_frame(SCENE, cameras["RV"]), render_frame(SCENE, cameras["RV"])
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.depth, second.depth)
    other = render_frame(SCENE, replace(cameras["RV"], name="FV"))
    assert (first.image != other.image).any()
    np.testing.assert_array_equal(first.semantic, other.semantic)


def test_outside_the_lens_the_picture_is_black_and_unlabelled():
    camera = surround_cameras(96, 72)["FV"]
    # rho = 45 theta - 12 theta^2 turns back at theta = 1.875, 42 pixels from the middle.
    small = replace(camera, coefficients=(45.0, -12.0), max_theta=1.874)
    frame = render_frame(SCENE, small)
    u, v = np.meshgrid(np.arange(96.0), np.arange(72.0))
    outside = ~np.isfinite(small.unproject(np.stack([u, v], axis=-1))).all(axis=-1)
    assert outside.any()
    assert not outside.all()
    assert (frame.image[outside] == 0).all()
    assert (frame.semantic[outside] == Label.UNLABELED).all()
    assert (frame.semantic[~outside] != Label.UNLABELED).all()


def test_a_camera_turned_about_its_axis_sees_the_turned_picture():
    camera = surround_cameras(96, 96)["FV"]
    camera = replace(camera, cx_offset=0.0, cy_offset=0.0, aspect_ratio=1.0)
    x, y, z, w = camera.quaternion
    # Half a turn about the optical axis: (x, y, z, w) times (0, 0, 1, 0).
    turned = replace(camera, quaternion=(y, -x, w, -z))
    upright, reversed_ = render_frame(SCENE, camera), render_frame(SCENE, turned)
    same = upright.semantic == reversed_.semantic[::-1, ::-1]
    assert same.mean() > 0.995


def test_the_panorama_looks_ahead_in_its_middle():
    rays = panorama_rays(64, 32)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1)
    assert rays[16, 32] @ (1, 0, 0) > 0.99
    assert rays[16, 16] @ (0, 1, 0) > 0.98
    assert rays[0, 0, 2] > 0.99


def test_the_panorama_holds_the_whole_sphere():
    frame = take_panorama(Renderer(SCENE), 128, 64)
    assert frame.image.shape == (64, 128, 3)
    assert (frame.semantic[0] == Label.SKY).all()
    assert (frame.semantic[-1] == Label.EGO_VEHICLE).all()
    assert (frame.semantic == Label.ROAD).mean() > 0.05


def test_panorama_and_camera_agree_on_directions():
    # A camera at the panorama's place sees what the panorama holds in the same directions.
    renderer = Renderer(SCENE)
    panorama = take_panorama(renderer, 720, 360)
    camera = replace(surround_cameras(64, 48)["MVL"], translation=(1.4, 0.0, 2.3))
    frame = take_frame(renderer, camera)
    u, v = np.meshgrid(np.arange(64.0), np.arange(48.0))
    rays = camera.unproject(np.stack([u, v], axis=-1)) @ camera.rotation().T
    column = (np.pi - np.arctan2(rays[..., 1], rays[..., 0])) / (2 * np.pi) * 720
    row = np.arccos(rays[..., 2]) / np.pi * 360
    sample = (np.clip(row.astype(int), 0, 359), np.mod(column.astype(int), 720))
    assert (panorama.semantic[sample] == frame.semantic).mean() > 0.9
