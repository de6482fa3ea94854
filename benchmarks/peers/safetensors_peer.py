"""Python's safetensors: opens a file that is not in memory, and reads the shape of every tensor."""

import os

import numpy
import safetensors

from serve import serve


class Open:
    def __init__(self, settings):
        self.file = settings["file"]

    def prepare(self):
        descriptor = os.open(self.file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)

    def run(self):
        with safetensors.safe_open(self.file, framework="numpy") as file:
            return [file.get_slice(name).get_shape() for name in file.keys()]

    def result(self):
        return numpy.array(sorted(size for shape in self.run() for size in shape))


serve(Open)
