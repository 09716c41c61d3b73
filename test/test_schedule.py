"""The learning rate: dropped when validation saturates or at fixed epochs, and the same after a restart."""
from types import SimpleNamespace

import pytest

from common.train import schedule as module

# Patience 2. Epochs 4 and 5 are no better than 3: drop. 6 is the best; 7 and 8 are not better: the end.
SCORES = [10, 30, 40, 40, 39, 50, 50, 49]
RATES = [1e-3] * 5 + [1e-5] * 3


def Schedule(rates, patience, drops, epochs, scores=(), saturates='score'):
    """A schedule, after epochs of these scores."""
    train = SimpleNamespace(rates=rates, patience=patience, drops=drops, epochs=epochs, saturates=saturates)
    return module.Schedule(train, [{'score': score} for score in scores])


def run(schedule, scores):
    """The rate of each epoch, and whether it was the best, until the schedule ends or the scores do."""
    rates, best = [], []
    for score in scores:
        if schedule.finished:
            break
        rates.append(schedule.rate)
        best.append(schedule.update({'score': score}))
    return rates, best


def test_the_rate_drops_at_saturation_and_saturation_at_the_last_rate_is_the_end():
    schedule = Schedule([1e-3, 1e-5], 2, [], 100)
    rates, best = run(schedule, SCORES + [60])
    assert rates == RATES and schedule.finished
    assert best == [True, True, True, False, False, True, False, False]


def test_each_rate_gets_its_patience():
    schedule = Schedule([1, 0.1, 0.01], 2, [], 100)
    assert run(schedule, [5] * 9)[0] == [1, 1, 1, 0.1, 0.1, 0.01, 0.01] and schedule.finished


def test_a_better_score_restarts_the_wait():
    schedule = Schedule([1, 0.1], 3, [], 100)
    assert run(schedule, [5, 4, 4, 6, 5, 5, 7])[0] == [1] * 7
    assert run(schedule, [6, 6, 6, 6])[0] == [1, 1, 1, 0.1]


def test_a_best_score_of_zero_or_less_is_one():
    schedule = Schedule([1], 2, [], 100)
    assert run(schedule, [-3, 0, 0, -1])[1] == [True, True, False, False]
    assert schedule.finished


def test_fixed_drops_ignore_the_scores():
    schedule = Schedule([1, 0.1, 0.01], 1, [2, 3], 5)
    assert run(schedule, [9, 8, 7, 6, 5, 4])[0] == [1, 1, 0.1, 0.01, 0.01]
    assert schedule.finished


def test_there_are_never_more_epochs_than_asked_for():
    schedule = Schedule([1e-3, 1e-5], 2, [], 4)
    assert run(schedule, SCORES)[0] == RATES[:4] and schedule.finished


@pytest.mark.parametrize('stop', range(len(SCORES) + 1))
@pytest.mark.parametrize('drops', [[], [3]])
def test_a_run_interrupted_anywhere_goes_on_identically(stop, drops):
    settings = [1e-3, 1e-5], 2, drops, len(SCORES)
    before, after = run(Schedule(*settings), SCORES[:stop]), run(Schedule(*settings, SCORES[:stop]), SCORES[stop:])
    assert (before[0] + after[0], before[1] + after[1]) == run(Schedule(*settings), SCORES)


@pytest.mark.parametrize('drops, rates', [([], RATES[4:]), ([2, 4], [0.1, 0.1, 0.1, 0.1]), ([4], [1e-5] * 4)])
def test_a_finished_run_may_be_given_more_epochs(drops, rates):
    more = Schedule([1e-3, 1e-5] if len(drops) < 2 else [1e-3, 1e-2, 0.1], 2, drops, 8, SCORES[:4])
    assert not more.finished
    assert run(more, SCORES[4:])[0] == rates
    assert more.finished


def test_a_run_that_ended_by_saturation_goes_on_with_more_patience():
    scores = [50, 49, 49, 49, 49, 49]
    assert Schedule([1e-3, 1e-5], 1, [], 100, scores).finished
    assert not Schedule([1e-3, 1e-5], 6, [], 100, scores).finished


def test_patience_counts_from_the_start_once_drops_are_given_up():
    scores = [50] + [49] * 11
    assert Schedule([1e-3, 1e-4], 8, [10], 20, scores).rate == 1e-4
    given_up = Schedule([1e-3, 1e-4], 8, [], 20, scores)
    assert given_up.rate == 1e-4 and run(given_up, [49] * 8)[0] == [1e-4] * 5


def test_the_loss_decides_when_the_rate_drops_and_the_score_which_epoch_is_the_best():
    schedule = Schedule([1e-3, 1e-5], 2, [], 100, saturates='loss')
    losses, scores = [3, 2, 2, 2.5, 1, 1, 1], [10, 9, 8, 7, 6, 11, 5]
    rates, best = [], []
    for loss, score in zip(losses, scores):
        rates.append(schedule.rate)
        best.append(schedule.update({'score': score, 'validation_loss': loss}))
    assert rates == [1e-3] * 4 + [1e-5] * 3 and schedule.finished
    assert best == [True, False, False, False, False, True, False]


def test_epochs_of_before_there_was_a_validation_loss_count_by_their_score():
    assert Schedule([1e-3, 1e-5], 2, [], 100, [5, 4, 4], saturates='loss').rate == 1e-5


def test_a_validation_loss_that_is_no_number_is_not_the_lowest():
    schedule = Schedule([1, 0.1], 2, [], 100, saturates='loss')
    for loss in (float('nan'), 3.0, float('nan'), 2.0, 1.0):
        schedule.update({'score': 1, 'validation_loss': loss})
    assert schedule.rate == 1
