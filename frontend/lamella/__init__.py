"""lamella."""
