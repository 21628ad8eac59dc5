"""One step a file, named by its number; a released step is never changed."""
