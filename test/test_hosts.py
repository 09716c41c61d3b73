"""A training on several hosts."""
import pytest

from scripts import train_dist


@pytest.mark.parametrize('pairs, root, nodes', [
    ([('127.0.0.1', '127.0.0.1')] * 2, '127.0.0.1', ['127.0.0.1'] * 2),                   # this machine alone
    ([('127.0.0.1', '127.0.1.1'), ('10.0.0.1', '10.0.0.2')], '10.0.0.1', ['10.0.0.1', '10.0.0.2']),
    ([('10.0.0.1', '10.0.0.2'), ('10.1.0.1', '10.1.0.3')], '10.0.0.1', ['10.0.0.2', '10.1.0.3'])])
def test_a_loopback_address_is_not_told_to_other_hosts(monkeypatch, pairs, root, nodes):
    found = iter(pairs)
    monkeypatch.setattr(train_dist, '_addresses', lambda host: next(found))
    assert train_dist.addresses(['a', 'b']) == (root, nodes)
