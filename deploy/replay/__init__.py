"""Captured logs again: through the real components, with a part replaced, or played for somebody who watches."""
