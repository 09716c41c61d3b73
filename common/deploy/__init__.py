"""What other programs run: exports, and what they cost."""
