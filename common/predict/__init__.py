"""From trained networks to joints and pictures."""
