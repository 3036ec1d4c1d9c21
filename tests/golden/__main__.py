"""Rewrites the golden files; look at the difference before you commit it."""

from tests import golden

golden.write()
print(f"wrote {golden.PARAMS_FILE.name}")
