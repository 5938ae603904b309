"""Lets one thread end another's wait on sockets."""

from __future__ import annotations

import contextlib
import os


class Waker:
    """A file descriptor that becomes readable when somebody calls `wake`, from whatever thread."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write, False)

    def wake(self) -> None:
        """Make it readable. Many calls before a `clear` count as one."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"\0")

    def clear(self) -> None:
        """Make it unreadable again; what was done before the last `wake` is seen by whoever looks after this."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self.fd, 4096)) == 4096:
                pass

    def close(self) -> None:
        """Close it; nobody may call `wake` any more."""
        os.close(self.fd)
        os.close(self._write)
