"""The commands of `scribebox`, one module each."""
