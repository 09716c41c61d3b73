"""What reads files that strangers made: claims are checked before memory or time is spent on them."""
