"""Training: the loop, its rate, devices and processes, the chain of phases."""
