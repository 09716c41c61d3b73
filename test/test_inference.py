"""Which stage counts, the flip test, and networks loaded to infer with."""
import mxnet as mx
import numpy as np
import pytest

from common import config
from common.data.crop import mirrored_order
from common.data.loader import Loader
from common.dataset import Source
from common.nets import pose_net
from common.predict import inference
from common.programs import test as program
from common.weights import checkpoint
from pose_mpii.dataset import MPII
from pose_mpii.skeleton import SKELETON

pytestmark = pytest.mark.usefixtures('narrow_file')

CPU = [mx.cpu()]


def network(root, experiment_file, *overrides):
    cfg = config.load(root / f'experiments/cpu/mpii/{experiment_file}.yaml', ['input.size=[64, 64]', *overrides])
    return cfg, pose_net.create(cfg, CPU)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


@pytest.mark.parametrize('method, scaled', [('h1', True), ('i1', True), ('h2', False), ('i3', False), ('istar', False)])
def test_a_joints_score_is_the_maximum_where_that_has_a_scale(root, method, scaled):
    """What the integral does not see, a number added to a map, must not matter to the score of other networks."""
    cfg = config.load(root / f'experiments/cpu/mpii/table2/{method}.yaml')
    maps = np.random.default_rng(0).normal(size=(3, 16, 8, 8)).astype(np.float32)
    scores = inference.joint_scores(cfg, maps)
    assert scores.shape == (3, 16)
    if scaled:
        np.testing.assert_array_equal(scores, maps.max(axis=(2, 3)))
    else:
        assert (scores > 0).all() and (scores <= 1).all()
        np.testing.assert_allclose(inference.joint_scores(cfg, maps - 12), scores, rtol=1e-5)


@pytest.mark.parametrize('stage, index', [(0, -1), (1, 0), (2, 1), (3, 2)])
def test_the_stage_asked_for_counts(root, images, stage, index):
    cfg, net = network(root, 'table5/stages3/i1', f'test.stage={stage}')
    heatmaps, joints = net(mx.nd.array(images, dtype=np.uint8))
    found = inference.infer(cfg, net, images, CPU)
    np.testing.assert_array_equal(found[0], heatmaps[index].asnumpy())
    np.testing.assert_array_equal(found[1], joints[index].asnumpy())


@pytest.mark.parametrize('method', ['h1', 'r1', 'i1'])
def test_with_the_flip_test_a_mirrored_image_gives_the_mirrored_result(root, images, method):
    cfg, net = network(root, f'table2/{method}', 'test.flip=true')
    for parameter in net.collect_params('.*final.*weight').values():           # far from the flat maps of the start
        parameter.set_data(mx.nd.random.normal(scale=0.1, shape=parameter.shape))
    swap = mirrored_order(SKELETON.flip_pairs, 16)
    heatmaps, joints = inference.infer(cfg, net, images, CPU)
    mirrored_maps, mirrored = inference.infer(cfg, net, images[:, :, ::-1], CPU)
    np.testing.assert_allclose(mirrored[:, swap] * [-1, 1] + [63, 0], joints, rtol=1e-5, atol=1e-4)
    if heatmaps is not None:
        np.testing.assert_array_equal(mirrored_maps[:, swap, :, ::-1], heatmaps)
    plain = inference.forward(net, images, CPU)[1]
    assert np.abs(plain - joints).max() > 0.01


def test_predicting_mirrors_and_selects_as_inferring_does(root, tiny_data):
    """Through JPEGs, batches and the way back to the photographs."""
    cfg, net = network(root, 'table5/stages2/i1', 'test.flip=true', 'test.stage=1', 'test.batch_size=3')
    people = MPII.people(Source(tiny_data, 'valid'), (64, 64))
    batch = next(Loader(people.samples, (64, 64), len(people.samples)).batches())
    heatmaps, joints = inference.infer(cfg, net, batch.images, CPU)
    predictions, _, results = program.predict_and_score(MPII, cfg, net, people, CPU, 'test')
    for method in ('argmax', 'integral'):
        expected = inference.locate(cfg, net, heatmaps, joints, method, batch.matrices)
        np.testing.assert_allclose(predictions[method], expected, atol=1e-3)
    assert results.keys() == predictions.keys()


@pytest.mark.parametrize('name', ['table2/i1', 'table2/r1', 'table5/stages2/i1'])
def test_a_loaded_network_infers_as_the_one_that_was_trained(root, tmp_path, name):
    """With operators fused, for batches of any size, on one device and on several."""
    cfg, net = network(root, name)
    rng = np.random.default_rng(0)
    for parameter in checkpoint.statistics(net).values():
        parameter.set_data(mx.nd.array(rng.uniform(0.5, 2, parameter.shape)))
    checkpoint.save_parameters(net, tmp_path / 'x.params')
    for contexts in (CPU, [mx.cpu(0), mx.cpu(1)]):
        loaded = inference.load_network(cfg, tmp_path / 'x.params', contexts)
        for size in (4, 1, 3):
            images = rng.integers(0, 256, (size, 64, 64, 3), np.uint8)
            for one, other in zip(inference.forward(loaded, images, contexts), inference.forward(net, images, CPU)):
                assert (one is None) == (other is None)
                if one is not None:
                    np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max())
