"""A source that is read in a thread, so that a test may write, kill and wait."""

import threading
import time


def until(condition, seconds=60.0):
    """Wait until a condition holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        time.sleep(0.005)


class Receiving:
    """Everything that a source gives, as it comes: `arrivals` and the sentences in `said`."""

    def __init__(self, source, done=lambda number: False):
        self.source, self.done = source, done
        self.stop = threading.Event()
        self.arrivals, self.said = [], []
        self.opened = self.error = None
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.stop.set()
        self.thread.join(60)

    def _run(self):
        try:
            self.opened = self.source.open(self.stop, self.said.append)
            if self.opened is not None:
                for arrival in self.source.arrivals(self.done, self.stop, self.said.append):
                    self.arrivals.append(arrival)
        except Exception as error:
            self.error = error

    @property
    def numbers(self):
        return [arrival.number for arrival in self.arrivals]

    def ended(self):
        """Wait until the source ends by itself."""
        until(lambda: not self.thread.is_alive())
        assert self.error is None, self.error
        return self

    def heard(self, words):
        """Tell whether some sentence holds these words."""
        return any(words in sentence for sentence in self.said)
