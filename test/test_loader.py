"""Batches: the same whatever the threads, complete in every epoch, and honest about files that cannot be read."""
import threading
from itertools import chain

import cv2
import numpy as np
import pytest

from common import config
from common.data.crop import Augmentation, Sample, crop_matrix, transform_points
from common.data.loader import Loader, training_loader
from common.errors import InputError, StorageError

SIZE = (32, 24)
AUGMENT = Augmentation(rotation=30, scale=0.25, flip=True, flip_pairs=((0, 1),))
PLAIN = Augmentation(rotation=0, scale=0, flip=False, flip_pairs=())


@pytest.fixture(scope='module')
def samples(tmp_path_factory):
    """23 samples of 5 images, 3 joints each."""
    folder, rng, result = tmp_path_factory.mktemp('images'), np.random.default_rng(0), []
    for i in range(23):
        path = folder / f'{i % 5}.jpg'
        if i < 5:
            cv2.imwrite(str(path), rng.integers(0, 256, (60, 80, 3)).astype(np.uint8))
        box = (*rng.uniform(20, 50, 2), *rng.uniform(30, 90, 2))
        result.append(Sample(str(path), box, rng.uniform(0, 60, (3, 2)).astype(np.float32), np.ones(3, np.float32)))
    return result


@pytest.fixture
def missing(samples, tmp_path):
    """A sample whose image does not exist."""
    return samples[0]._replace(image=str(tmp_path / 'missing.jpg'))


@pytest.fixture
def broken(samples, tmp_path):
    """A sample whose image cannot be decoded."""
    path = tmp_path / 'broken.jpg'
    path.write_bytes(b'no picture')
    return samples[0]._replace(image=str(path))


def assert_same(batches, others):
    batches, others = list(batches), list(others)
    assert len(batches) == len(others) > 0
    for batch, other in zip(batches, others):
        for name, array, expected in zip(batch._fields, batch, other):
            np.testing.assert_array_equal(array, expected, err_msg=name)


def indices(loader, epoch=0):
    return np.concatenate([batch.indices for batch in loader.batches(epoch)])


def test_a_batch_holds_what_it_promises(samples):
    loader = Loader(samples, SIZE, 10)
    batches = list(loader.batches())
    assert [len(batch.images) for batch in batches] == [10, 10, 3]
    first = batches[0]
    assert [(array.shape, array.dtype.name) for array in first] == [
        ((10, 24, 32, 3), 'uint8'), ((10, 3, 2), 'float32'), ((10, 3), 'float32'), ((10,), 'float32'),
        ((10, 2, 3), 'float64'), ((10,), 'int64'), ((10,), 'bool')]
    for i in range(10):
        np.testing.assert_array_equal(first.matrices[i], crop_matrix(samples[i].box, SIZE))
        np.testing.assert_allclose(first.joints[i], transform_points(first.matrices[i], samples[i].joints), atol=1e-4)
    assert first.images.std() > 20
    np.testing.assert_array_equal(indices(loader), np.arange(23))


@pytest.mark.parametrize('threads', [2, 5])
def test_threads_do_not_change_batches(samples, threads):
    one, many = (Loader(samples, SIZE, 4, AUGMENT, threads=n) for n in (1, threads))
    assert_same(one.batches(3), many.batches(3))


def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(samples):
    run, resumed = (Loader(samples, SIZE, 4, AUGMENT, seed=(7, 0)) for _ in range(2))
    for epoch in range(2):
        list(run.batches(epoch))
    assert_same(run.batches(2), resumed.batches(2))


def test_an_epoch_taken_up_again_sees_the_rest_of_it(samples):
    loader = Loader(samples, SIZE, 10, AUGMENT)
    assert_same(loader.batches(3, first=10), list(loader.batches(3))[1:])
    assert list(loader.batches(3, first=23)) == []


def test_every_epoch_is_another_permutation(samples):
    loader = Loader(samples, SIZE, 4, PLAIN)
    epochs = [indices(loader, epoch) for epoch in range(3)] + [indices(Loader(samples, SIZE, 4, PLAIN, seed=(1, 0)))]
    for order in epochs:
        np.testing.assert_array_equal(np.sort(order), np.arange(23))
    assert len({tuple(order) for order in epochs}) == 4


def test_a_samples_randomness_is_its_own(samples):
    """The same view of a sample whatever its place in an epoch; another in every epoch and for every seed."""
    def views(epoch=0, **options):
        batches = list(Loader(samples, SIZE, 4, AUGMENT, **options).batches(epoch))
        order = np.argsort(np.concatenate([batch.indices for batch in batches]))
        return [np.concatenate(arrays)[order] for arrays in zip(*((b.matrices, b.keys) for b in batches))]

    matrices, keys = views()
    shards = [indices(Loader(samples, SIZE, 4, AUGMENT, shard=(rank, 2))) for rank in range(2)]
    for rank, chosen in enumerate(shards):
        for array, part in zip((matrices, keys), views(shard=(rank, 2))):
            np.testing.assert_array_equal(array[np.sort(chosen)], part)
    for other in (views(epoch=1), views(seed=(1, 0)), views(seed=(0, 1))):
        assert (matrices != other[0]).any(axis=(1, 2)).all() and (keys != other[1]).all()
    assert len(set(keys)) == 23 and keys.min() >= 0 and keys.max() < 1 and 0.3 < keys.mean() < 0.7
    mirrored = np.linalg.det(matrices[:, :, :2]) < 0
    assert 0 < mirrored.sum() < 23


def test_mirrored_joints_change_sides(samples):
    batch = next(Loader(samples, SIZE, 23, AUGMENT).batches())
    mirrored = np.linalg.det(batch.matrices[:, :, :2]) < 0
    for i, sample in enumerate(samples[index] for index in batch.indices):
        order = [1, 0, 2] if mirrored[i] else [0, 1, 2]
        np.testing.assert_allclose(batch.joints[i], transform_points(batch.matrices[i], sample.joints)[order],
                                   atol=1e-4)


@pytest.mark.parametrize('count', [2, 3, 5])
@pytest.mark.parametrize('augment', [None, PLAIN])
def test_shards_share_an_epoch(samples, count, augment):
    loaders = [Loader(samples, SIZE, 4, augment, shard=(rank, count)) for rank in range(count)]
    parts = [indices(loader, 1) for loader in loaders]
    assert len({len(part) for part in parts}) == 1
    assert len({len(list(loader.batches())) for loader in loaders}) == 1
    everything = np.concatenate(parts)
    assert set(everything) == set(range(23))
    assert len(everything) - 23 == -23 % count                       # no more is repeated than evens the parts out


def test_more_workers_than_samples(samples):
    parts = [indices(Loader(samples[:2], SIZE, 4, shard=(rank, 5))) for rank in range(5)]
    assert [part.tolist() for part in parts] == [[0], [1], [0], [1], [0]]


def test_leaving_early_stops_the_threads(samples):
    class Counting(list):
        uses = 0

        def __getitem__(self, index):
            self.uses += 1
            return super().__getitem__(index)

    counting, before = Counting(samples * 50), threading.active_count()
    loader = Loader(counting, SIZE, 4, threads=3)
    for batch in loader.batches():
        assert threading.active_count() > before
        break
    del batch
    assert threading.active_count() == before
    assert counting.uses <= (3 + 2) * (4 + 1)                        # at most 5 batches, a look at samples[0] for each
    assert len(list(Loader(samples, SIZE, 4).batches())) == 6
    assert threading.active_count() == before


def test_an_error_in_a_thread_reaches_the_consumer(samples):
    broken = samples[:9] + [samples[9]._replace(box=None)] + samples[10:]
    before = threading.active_count()
    with pytest.raises(TypeError):
        list(Loader(broken, SIZE, 4, PLAIN, threads=2).batches())
    assert threading.active_count() == before


def test_a_test_stops_at_an_unreadable_image(samples, missing):
    batches = Loader(samples[:8] + [missing], SIZE, 4).batches()
    assert len([next(batches), next(batches)]) == 2
    with pytest.raises(InputError, match='missing.jpg'):
        next(batches)


def test_training_skips_images_that_cannot_be_decoded(samples, broken, capsys):
    mixed = samples[:5] + [broken, broken._replace(box=(30, 30, 40, 40))] + samples[5:]
    loader = Loader(mixed, SIZE, len(mixed), AUGMENT)
    batch, _ = chain(loader.batches(0), loader.batches(1))
    error = capsys.readouterr().err
    assert error.count('\n') == error.count('broken.jpg') == 1
    assert set(batch.indices[~batch.read]) == {5, 6} and not batch.visible[~batch.read].any()
    read = batch.images[batch.read]                                  # nothing foreign, and never black
    np.testing.assert_array_equal(batch.images[~batch.read], read[:2])
    assert np.isfinite(batch.joints).all() and np.abs(np.linalg.det(batch.matrices[:, :, :2])).min() > 0


def test_a_batch_without_an_image_is_an_error(samples, broken, capsys):
    with pytest.raises(InputError, match='a batch without a single image that can be decoded.*broken.jpg'):
        next(Loader([broken] * 3, SIZE, 4, AUGMENT).batches())
    assert capsys.readouterr().err == ''                             # one line from the program is enough


def test_a_last_batch_without_an_image_ends_no_training(samples, broken):
    loader = Loader(samples[:4] + [broken], SIZE, 4, PLAIN)
    epoch = next(epoch for epoch in range(99) if loader.order(epoch)[4] == 4)
    _, alone = loader.batches(epoch)
    resumed, = loader.batches(epoch, first=4)
    assert not alone.read.any() and not alone.visible.any() and alone.images.any()
    np.testing.assert_array_equal(alone.images, resumed.images)


def test_what_cannot_be_read_at_all_is_never_skipped(samples, missing):
    with pytest.raises(StorageError, match='missing.jpg'):
        list(Loader(samples[:3] + [missing], SIZE, 4, PLAIN).batches())


def test_what_is_absent_at_the_start_is_counted_and_left_out(root, samples, missing, capsys):
    cfg = config.load(root / 'experiments/cpu/mpii/table2/h1.yaml')
    person = {'joints': np.zeros((16, 2), np.float32), 'visible': np.ones(16, np.float32)}
    samples, missing = [sample._replace(**person) for sample in samples], missing._replace(**person)
    assert training_loader(cfg, samples + [missing] * 2).samples == samples
    assert f'{missing.image}: missing (1 of {len({s.image for s in samples}) + 1} images to train on)' in \
        capsys.readouterr().err
    with pytest.raises(InputError, match='missing.jpg: missing .1 of 1 images'):
        training_loader(cfg, [missing] * 3)
