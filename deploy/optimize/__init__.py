"""Search for the best parameters of a topology: many runs, on all cores or a cluster, kept in a study that resumes."""
