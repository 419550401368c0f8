"""The batch trainer: stages with a run folder, so that a job that was killed goes on where it stopped."""
