"""What happens by the clock: duties with an interval, and what a start has to mend."""
