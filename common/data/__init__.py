"""From annotated photographs to batches."""
