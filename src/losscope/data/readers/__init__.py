"""Readers of files: arrays, tables, folders, pictures, sounds, hubs."""
