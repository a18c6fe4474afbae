"""Made by tests/wats/sync_faces.py."""
