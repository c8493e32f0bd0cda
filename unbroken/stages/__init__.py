"""The six stages over a run: the only functions that know both its folder and the rooms below."""
