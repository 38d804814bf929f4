"""The compiled kernel. Without a compiler the installation succeeds, and the pure kernel gives the same answers."""

import sys

from setuptools import Extension, setup

# Sums must be the pure kernel's to the last bit: nothing is fused or reordered.
FLAGS = ["/O2", "/fp:precise"] if sys.platform == "win32" else ["-std=c11", "-O3", "-ffp-contract=off"]

setup(
    ext_modules=[Extension("shipworthy.kernels._native",
                           ["src/shipworthy/kernels/_native.c", "src/shipworthy/kernels/_branch.c"],
                           extra_compile_args=FLAGS, py_limited_api=True, optional=True)],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
