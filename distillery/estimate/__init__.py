"""What a study will cost before it runs: jobs, hours, memory and disk."""
