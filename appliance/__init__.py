"""The box: its settings, its data and its rules."""
