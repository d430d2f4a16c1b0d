"""The pages that people look at: templates and their style."""
