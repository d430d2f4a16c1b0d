"""Renders subjects, bodies, PDFs and attachments."""
