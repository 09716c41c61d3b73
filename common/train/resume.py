"""Whether a folder's run may go on, or be started from: on the same data, by the same configuration."""
import sys

from common import config, files, provenance, results, skeleton
from common.errors import InputError
from common.guard.yaml_text import shown

# What a training leaves in its folder at its start.
CONFIG, ABOUT = 'config.yaml', 'run.json'
# The keys that may change when a run is resumed.
RESUMED_WITH = ('train.epochs', 'train.patience', 'train.saturates', 'train.drops', 'train.rates', 'train.batch_size',
                'test.batch_size')


def check_same_run(folder, cfg, data, goes_on):
    """InputError if the folder holds a run on other data, or of a configuration that a resumed run cannot change.

    One that is only started from, if it is finished, may have been tested in another way; it is not resumed.
    """
    is_finished = (folder / results.TRAINING).exists()
    try:
        before, asked = files.read_object(folder / ABOUT).get('data'), provenance.data_name(data)
        changed = config.differences(config.load(folder / CONFIG), cfg)
    except InputError as error:
        raise InputError(f'{folder}: holds a run that cannot be resumed: {error}') from None
    if before != asked:
        raise InputError(f'{folder}: holds a run on {before}, not on {asked}; use another --out')
    goes_on = goes_on or not is_finished
    for key in sorted(changed.keys() - config.idle_keys(cfg, goes_on)):
        before, now = changed[key]
        if key == 'data.skeleton' and skeleton.used(before, goes_on) == skeleton.used(now, goes_on):
            continue                          # what is drawn may be another
        if key not in RESUMED_WITH and (goes_on or not key.startswith('test.')):
            raise InputError(f'{folder}: holds a run with {key} {shown(before)}, not {shown(now)}; use '
                             'another --out')
        if not goes_on and key != 'test.batch_size':
            print(f'{folder}: is finished and stays as it is, with {key} {shown(before)}, not {shown(now)}', flush=True)


def check_same_people(folder, cfg, about):
    """InputError if the folder's run has seen other annotations than `about` has, under the same names."""
    earlier, before = files.read_object(folder / ABOUT).get('annotations'), config.load(folder / CONFIG).data
    for split, digest in about['annotations'].items():
        if isinstance(earlier, dict) and before[split] == cfg.data[split] and earlier.get(split) != digest:
            raise InputError(f'{folder}: holds a run on another {about["data"]}, whose annotations of {before[split]} '
                             'were not those of now; use another --out')


def check_goes_on(folder, cfg, about):
    """InputError if a run that goes on has seen other annotations, or more or fewer images, than are there now.

    A warning where it goes on in other batches, on other devices or with other workers: not as if it had never been
    interrupted.
    """
    check_same_people(folder, cfg, about)
    run = files.read_object(folder / ABOUT)
    images = run.get('images', about['images'])
    if images != about['images']:
        raise InputError(f'{folder}: has been trained on {images} people whose images were there; now there are '
                         f'{about["images"]}, with which it cannot go on')
    changes = [f'{name} {now} instead of {before}' for name, before, now in (
        ('batches of', config.load(folder / CONFIG).train.batch_size, cfg.train.batch_size),
        ('devices', run.get('devices'), about['devices']),
        ('workers', run.get('workers'), about['workers'])) if now != before]
    if changes:
        print(f'warning: {folder}: goes on with {" and ".join(changes)}; the network will not be that of an '
              'uninterrupted run to the last bit', file=sys.stderr)
