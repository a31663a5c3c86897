"""The named data sets, one function each."""
