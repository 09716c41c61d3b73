"""What tests of refused input share."""
import pytest

from common.errors import InputError


def fails(function, *arguments, **options) -> str:
    """The message of the InputError that a call raises: one line."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert '\n' not in str(caught.value)
    return str(caught.value)
