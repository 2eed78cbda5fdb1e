"""Send every frame of a camera or scan of Nion Swift to `micrograph live`.

Run it in Nion Swift as a script (File > Scripts). SOURCE is the identifier of the camera or scan, TO the address of the
analysis. Needs pyzmq in Swift's Python. What the analysis cannot take in time is left out, and the numbers of the
frames say so.
"""

import contextlib
import json
import time
import uuid

import numpy as np
import zmq

SOURCE, TO, FRAMES = "superscan", "127.0.0.1:5555", 100_000
NM = {"nm": 1.0, "um": 1e3, "µm": 1e3, "pm": 1e-3}


def script_main(api_broker):
    """Send frames; Swift calls this."""
    api = api_broker.get_api(version="1")
    run, socket = uuid.uuid4().hex, zmq.Context.instance().socket(zmq.PUSH)
    socket.set_hwm(4)
    socket.connect("tcp://" + TO)
    task = api.get_hardware_source_by_id(SOURCE, version="1").create_view_task()
    with contextlib.closing(task), contextlib.closing(socket):
        for number in range(FRAMES):
            found = task.grab_next_to_finish()[0]
            data, scale = np.ascontiguousarray(found.data), found.dimensional_calibrations[-1]
            header = {"micrograph": 1, "run": run, "frame": number, "time": time.time(), "shape": data.shape}
            header.update(dtype=data.dtype.str, pixel_nm=scale.scale * NM[scale.units] if scale.units in NM else None)
            with contextlib.suppress(zmq.Again):
                socket.send_multipart([json.dumps(header).encode(), data.tobytes()], zmq.NOBLOCK)
        socket.send(json.dumps({"micrograph": 1, "end": True, "run": run}).encode())
