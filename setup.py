"""Beyond pyproject.toml: the wheel holds the results of `make`, and is therefore of one platform and of any Python 3."""
from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py
from wheel.bdist_wheel import bdist_wheel

ROOT = Path(__file__).resolve().parent
NATIVE = ("liblongformer.so", "liblongformer_ops.so")
ASSEMBLIES = ROOT / "build" / "dotnet" / "bin" / "LongformerInterop.PythonNet" / "release"
MODEL = ROOT / "models" / "default"
SCRATCH = ROOT / "build" / "python"


class BuildWithBinaries(build_py):
    """Copies the native libraries and the .NET assemblies into the package for the wheel."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # used from the source tree, the package finds them where they were built
        package = Path(self.build_lib) / "longformer_interop"
        missing = [name for name in NATIVE if not (ROOT / "artifacts" / name).exists()]
        if missing or not (ASSEMBLIES / "LongformerInterop.PythonNet.dll").exists():
            raise SystemExit(f"setup.py: {', '.join(missing) or 'the .NET assemblies'} not built yet; run make first")
        for folder, files in (
            ("_native", [ROOT / "artifacts" / name for name in NATIVE]),
            ("_net", sorted(ASSEMBLIES.glob("*.dll"))),
        ):
            (package / folder).mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copy2(file.resolve(), package / folder / file.name)
            # The model in the box is looked for beside either library.
            if folder == "_native" and (MODEL / "config.json").exists():
                shutil.copytree(MODEL, package / folder / "models" / "default", dirs_exist_ok=True)


class WithBinaries(Distribution):
    """Belongs to the platform, though nothing of it is compiled here."""

    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    """Any Python 3 (the libraries are not extension modules), and any Linux from glibc 2.34 on: tools/symbols.sh checks what they ask for."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", "manylinux_2_34_x86_64")


SCRATCH.mkdir(parents=True, exist_ok=True)
setup(
    distclass=WithBinaries,
    cmdclass={"build_py": BuildWithBinaries, "bdist_wheel": PlatformWheel},
    options={"build": {"build_base": str(SCRATCH)}, "egg_info": {"egg_base": str(SCRATCH)}, "bdist_wheel": {"bdist_dir": str(SCRATCH / "bdist")}},
)
