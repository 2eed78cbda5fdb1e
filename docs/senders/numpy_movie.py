"""Send the frames of a NumPy file to a running `micrograph live RECIPE zmq://HOST:PORT`.

    python numpy_movie.py movie.npy --to 127.0.0.1:5555 --pixel-nm 0.02 --frame-time-s 0.1

Needs numpy and pyzmq. When the analysis is slower than the movie, this sender waits: no frame is lost.
"""

import argparse
import json
import time
import uuid

import numpy as np
import zmq

parser = argparse.ArgumentParser()
parser.add_argument("movie")
parser.add_argument("--to", default="127.0.0.1:5555")
parser.add_argument("--pixel-nm", type=float)
parser.add_argument("--frame-time-s", type=float)
parser.add_argument("--first", type=int, default=0)
options = parser.parse_args()

movie = np.load(options.movie, mmap_mode="r")
common = {"micrograph": 1, "run": uuid.uuid4().hex, "shape": movie.shape[1:], "dtype": movie.dtype.str}
common |= {"pixel_nm": options.pixel_nm, "frame_time_s": options.frame_time_s}

socket = zmq.Context.instance().socket(zmq.PUSH)
socket.set_hwm(4)
socket.connect(f"tcp://{options.to}")
for number, image in enumerate(movie):
    header = common | {"frame": options.first + number, "time": time.time()}
    socket.send_multipart([json.dumps(header).encode(), np.ascontiguousarray(image)])
    time.sleep(options.frame_time_s or 0)
socket.send_multipart([json.dumps({"micrograph": 1, "end": True, "run": common["run"]}).encode()])
socket.close(linger=10_000)
