"""The commit that a result is from."""
import re
import subprocess

from common import provenance


def test_a_commit_is_not_that_of_a_repository_around_the_project(tmp_path, monkeypatch):
    repository(tmp_path)
    (tmp_path / 'project').mkdir()
    monkeypatch.setattr(provenance, 'ROOT', tmp_path / 'project')
    assert provenance.commit() is None


def test_a_commit_is_one_where_it_has_a_tag(tmp_path, monkeypatch):
    repository(tmp_path, ['tag', '-am', 'x', 'v1.0'])
    monkeypatch.setattr(provenance, 'ROOT', tmp_path)
    assert re.fullmatch('[0-9a-f]{40}', provenance.commit())


def repository(path, *commands):
    """Make a git repository with one commit, and let git do the commands there."""
    me = ('-c', 'user.name=x', '-c', 'user.email=x', '-c', 'commit.gpgsign=false', '-c', 'tag.gpgSign=false')
    for command in (['init'], ['commit', '--allow-empty', '-m', 'x'], *commands):
        subprocess.run(['git', *me, *command], cwd=path, check=True, capture_output=True)
