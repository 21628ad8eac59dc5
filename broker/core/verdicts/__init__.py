"""From a raw outcome to a verdict: a dialect's rules read a provider's answer, and nothing else."""
