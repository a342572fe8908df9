"""Pure decisions: no await, no clock, no randomness, no environment, no I/O. Time and chance are arguments."""
