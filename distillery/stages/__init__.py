"""What the jobs of a study compute, from what is in memory to what they leave: the one code of the
workflow's scripts and of the Python interface."""
