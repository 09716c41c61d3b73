"""Experiments as YAML: every key explained once (`schema`), files over shared bases (`reader`)."""
from common.config.reader import check_named, differences, load, resolve, save, sections, text
from common.config.schema import BEFORE, idle_keys

__all__ = ['BEFORE', 'check_named', 'differences', 'idle_keys', 'load', 'resolve', 'save', 'sections', 'text']
