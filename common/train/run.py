"""A training on the disk and on the screen: its history, its checkpoints, and what ends it early."""
import json
import time
import zlib
from functools import cached_property
from pathlib import Path

import mxnet as mx
from tqdm import tqdm

from common import config, files, provenance
from common.errors import InputError, Terminated
from common.train.board import Board
from common.train.meter import Meter
from common.train.schedule import Schedule
from common.train.termination import Termination
from common.train.workers import Statistics, Workers, share_parameters
from common.weights import checkpoint

STATE, BEST, LOG = 'last.state', 'best.params', 'log.jsonl'


class Run:
    """One training in its folder, within `with`.

    After every epoch the folder holds, each whole at any time: best.params, log.jsonl (one line an epoch),
    TensorBoard's scalars, and last.state, from which a run that finds it there goes on. SIGTERM or Ctrl-C write
    last.state after the step they come in, and end the run by `errors.Terminated`; a second one ends it at once, as
    they do where there are several workers, which do not stop at the same step. An InputError within says what the run
    can go on from.
    """

    def __init__(self, cfg, net, trainer, loader, folder, devices):
        self.net, self.trainer = net, trainer
        self._cfg, self._loader, self._folder, self._devices = cfg, loader, Path(folder), devices
        self.history, self._begun, self.meter = [], None, None
        if (self._folder / STATE).exists():
            self.history, begun = checkpoint.load_state(self._folder / STATE, net, trainer, devices.contexts,
                                                        ('score',))
            self._begun = begun if devices.workers == 1 else None     # several workers start the epoch anew
        self.schedule = Schedule(cfg.train, self.history)
        if devices.workers > 1:
            share_parameters(trainer, devices.kvstore)
            self._workers.require_same(self._common())
        self.termination = Termination(enabled=devices.workers == 1)

    def _common(self):
        """What all workers need to have in common, for `Workers.require_same`."""
        samples, same_data = self._loader.samples, 'all hosts need the same data'
        return ((len(self.history), f'epochs in {self._folder / STATE}', 'all hosts need to share the folder of --out'),
                (zlib.crc32(config.text(self._cfg).encode()) >> 8, 'as checksum of its configuration',
                 'all hosts need the same YAML files'),
                (len(samples), 'people to train on whose image is there', same_data),
                (int(provenance.digest(samples)[:6], 16), 'as checksum of the people to train on', same_data))

    def __enter__(self):
        self.termination.__enter__()
        return self

    def __exit__(self, _, error, __):
        self.termination.__exit__()
        if isinstance(error, InputError):
            raise InputError(f'{error}{self._saved()}') from None

    @cached_property
    def _workers(self):
        return Workers(self._devices.kvstore)

    @cached_property
    def _statistics(self):
        return Statistics(self.net, self._devices.contexts, self._devices.kvstore)

    @cached_property
    def _board(self):
        return Board(self._folder, len(self.history))

    @property
    def epoch(self) -> int:
        """The number of the epoch that is being trained, from 1."""
        return self.schedule.epoch + 1

    def begin_epoch(self):
        """Set the rate, and the meter of the epoch, which stands where an interrupted one stopped."""
        self.trainer.set_learning_rate(self.schedule.rate)
        state, self._begun = self._begun, None
        loss, title = self._cfg.loss, f'{self._cfg.name} epoch {self.epoch} of {self._cfg.train.epochs}'
        weights = (loss.heatmap != 'none' and loss.heatmap_weight, loss.joint != 'none' and loss.joint_weight)
        self.meter = Meter(title, self._loader.samples, weights, state)
        self._began = time.monotonic() - self.meter.state['seconds']           # of an interrupted epoch's first part

    def validate(self, function) -> dict:
        """The metrics after the epoch: function(network), which the first worker alone computes."""
        if not self.termination.signal:
            self._statistics.average()
            try:
                metrics = self.termination.give_up(self._workers.first, function, self.net)
                bad = files.not_finite(metrics)
                if bad is not None:
                    raise InputError(f'{self.meter.title}: {bad} on the validation split is not finite')
            except Exception:                 # of a validation image or a score; the epoch need not be trained again
                self.save_unfinished()
                raise
        if self.termination.signal:
            self._save_state(self.meter.state)
            raise Terminated(self.termination.signal, f'{self.meter.title}, step {self.meter.steps}{self._saved()}')
        return metrics

    def record(self, metrics):
        """Write the epoch down: history, log, checkpoints, screen; a 'picture' among the metrics for TensorBoard."""
        picture = metrics.pop('picture', None)
        self.meter.average(self._workers.total)
        line = {'epoch': self.epoch, 'rate': self.schedule.rate, **self.meter.means(),
                'images_per_second': self.meter.speed, 'skipped': self.meter.state['skipped'], **metrics,
                'best': self.schedule.update(metrics)}
        self.history.append(line)
        if self._devices.rank == 0:
            if line['best']:
                checkpoint.save_parameters(self.net, self._folder / BEST)
            files.write_text(self._folder / LOG, ''.join(json.dumps(line) + '\n' for line in self.history))
            self._save_state(None)
            self._board.add(line['epoch'], line, picture)
            tqdm.write(self._shown(line))
        if self.termination.signal:
            raise Terminated(self.termination.signal, f'{self.meter.title}, its end{self._saved()}')

    def save_unfinished(self):
        """Write the state within an epoch, to go on from there; several workers start the epoch anew."""
        if self._devices.workers == 1:
            mx.nd.waitall()
            self._save_state(self.meter.state)

    def _save_state(self, begun):
        checkpoint.save_state(self._folder / STATE, self.net, self.trainer, self.history, begun)

    def _saved(self):
        """The end of a message: what a stopped run can go on from."""
        path = self._folder / STATE
        return f'; {path} is whole, --resume goes on from it' if path.exists() else ''

    def _shown(self, line):
        """An epoch's line of the log for the screen."""
        parts = [f'rate {line["rate"]:g}', str(self.meter), f'{line["images_per_second"]:.1f} images/s']
        if 'validation_loss' in line:
            parts.append(f'validation loss {line["validation_loss"]:.4f}')
        parts.append(f'{line.get("decided_by", "score")} {line["score"]:.2f}' + ' (best)' * line['best'])
        if line['skipped']:
            parts.append(f'images skipped that cannot be decoded: {line["skipped"]}')
        if not self.schedule.finished:
            left = (time.monotonic() - self._began) * (self._cfg.train.epochs - self.schedule.epoch) / 60
            parts.append(f'at most {left:.0f} min left')
        return f'{self.meter.title}: {", ".join(parts)}'
