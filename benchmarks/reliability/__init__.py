"""The promises at full size: `python -m benchmarks.reliability [ROW…] [--seed N] [--scale 0.1]`."""
