"""The box's surfaces: HTTP for programs, the command line for people."""
