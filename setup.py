"""Hand native/build.py to cffi and ask for the abi3 wheel. The rest is declared in pyproject.toml."""

from __future__ import annotations

import os
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext

# The limited API does not exist on free-threaded builds before 3.15: those wheels carry their own tag.
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class ParallelBuild(build_ext):
    """A build of as many C files at a time as there are processors: setuptools takes one after another."""

    def build_extensions(self) -> None:
        """Compile each file as a call of its own, then link as ever."""
        compiler = self.compiler
        if compiler.compiler_type == "unix":  # the others set themselves up at their first file
            compile_files = compiler.compile

            def compile_all(sources: list[str], **options: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    objects = pool.map(lambda source: compile_files([source], **options), sources)
                    return [path for paths in objects for path in paths]

            compiler.compile = compile_all
        super().build_extensions()


setup(
    cffi_modules=["native/build.py:ffibuilder"],
    cmdclass={"build_ext": ParallelBuild},
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp310"}},
)
