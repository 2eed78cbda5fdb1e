import numpy as np

from micrograph.core.depth import normalised_depth


def disc(shape, centre, radius):
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) <= radius


def test_depth_falls_linearly_from_the_middle_of_a_disc_to_its_border():
    depth = normalised_depth(disc((61, 61), (30, 30), 20).astype(np.int32))
    assert depth.max() == depth[30, 30] == 1
    np.testing.assert_allclose(depth[30, 30:50], 1 - np.arange(20) / 20.5, atol=0.05)


def test_touching_objects_have_a_ridge_each():
    labels = np.zeros((20, 40), np.int32)
    labels[:, 3:20], labels[:, 20:37] = 1, 5
    depth = normalised_depth(labels)
    assert depth[10, 11] == depth[10, 28] == 1
    assert depth[10, 19] == depth[10, 20] < 0.1
    assert depth[:, :3].max() == 0


def test_the_edge_of_the_image_is_no_border():
    labels = np.zeros((20, 30), np.int32)
    labels[:, :10] = 1
    depth = normalised_depth(labels)
    np.testing.assert_allclose(depth[:, 0], 1)
    np.testing.assert_allclose(depth[:, 9], 0.5 / 9.5, rtol=1e-6)


def test_an_object_that_fills_the_image_is_deep_everywhere():
    assert (normalised_depth(np.ones((4, 5), np.int32)) == 1).all()
    assert (normalised_depth(np.zeros((4, 5), np.int32)) == 0).all()


def test_one_pixel_is_an_object():
    labels = np.zeros((5, 5), np.int32)
    labels[2, 2] = 7
    assert normalised_depth(labels)[2, 2] == 1
