"""Experiments as YAML: every key explained once (`schema`), files over shared bases (`reader`)."""
from common.config.reader import check_named, differences, load, resolve, save, sections, text
from common.config.schema import BEFORE

__all__ = ['BEFORE', 'check_named', 'differences', 'load', 'resolve', 'save', 'sections', 'text']
