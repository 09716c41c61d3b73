"""The programs of every data set."""
