"""Send every new frame of the front image (a live view) of Gatan's DigitalMicrograph to `micrograph live`.

Run it in DigitalMicrograph's own Python (GMS 3.4 or later) on the computer of the camera, with the live view in front;
close the image's window to stop. Needs pyzmq in that Python. What the analysis cannot take in time is left out, and
the numbers of the frames say so. Change TO when the analysis runs on another computer.
"""

import contextlib
import json
import time
import uuid

import DigitalMicrograph as DM
import numpy as np
import zmq

TO, NM = "127.0.0.1:5555", {"nm": 1.0, "um": 1e3, "µm": 1e3, b"\xb5m": 1e3, "pm": 1e-3, "A": 0.1}
socket = zmq.Context.instance().socket(zmq.PUSH)
socket.set_hwm(4)
socket.connect("tcp://" + TO)


class Sender(DM.Py_ScriptObject):
    """Hears of every change of an image."""

    def __init__(self, image):
        self.image, self.number, self.run = image, 0, uuid.uuid4().hex
        DM.Py_ScriptObject.__init__(self)

    def HandleDataChangedEvent(self, flags, image):
        """Send the image, or leave it out while the line is full."""
        data = np.ascontiguousarray(self.image.GetNumArray())
        _, scale, unit = self.image.GetDimensionCalibration(0, 0)
        header = {"micrograph": 1, "run": self.run, "frame": self.number, "time": time.time()}
        header.update(shape=data.shape, dtype=data.dtype.str, pixel_nm=scale * NM[unit] if unit in NM else None)
        self.number += 1
        with contextlib.suppress(zmq.Again):
            socket.send_multipart([json.dumps(header).encode(), data.tobytes()], zmq.NOBLOCK)

    def HandleWindowClosedEvent(self, flags, window):
        """Say that the recording is over."""
        socket.send(json.dumps({"micrograph": 1, "end": True, "run": self.run}).encode(), zmq.NOBLOCK)
        self.UnregisterAllListeners()


sender = Sender(DM.GetFrontImage())
sender.ImageHandleDataChangedEvent(sender.image, "pythonplugin")
sender.WindowHandleWindowClosedEvent(DM.GetFrontImageDocument().GetWindow(), "pythonplugin")
