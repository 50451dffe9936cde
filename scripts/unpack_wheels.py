"""unpack_wheels.py WHEELS DEST: LibTorch out of PyPI wheels.

Writes DEST/torch/{include,lib} and DEST/nvidia/*/lib, where the libraries' own RPATHs look for each
other. The CUDA half of LibTorch is left out unless the wheels that it needs (cuDNN is one) are there.
Each folder is unpacked under a temporary name and renamed when it is whole.
"""

import pathlib
import shutil
import sys
import zipfile

CUDA_HALF = ("cuda", "nvshmem")  # in the names of the libraries


def wanted(name: str, with_cuda: bool) -> bool:
    if name.endswith("/"):
        return False
    if name.startswith("torch/include/"):
        return True
    library = name.startswith(("torch/lib/", "torch.libs/", "nvidia/")) and ".so" in name
    if not library or "libtorch_python" in name or "libshm" in name:
        return False
    return with_cuda or name.startswith("nvidia/") or not any(word in name for word in CUDA_HALF)


def main() -> None:
    wheels = sorted(pathlib.Path(sys.argv[1]).glob("*.whl"))
    destination = pathlib.Path(sys.argv[2])
    with_cuda = any(wheel.name.startswith("nvidia_cudnn") for wheel in wheels)
    fresh = destination / "unpacking"
    shutil.rmtree(fresh, ignore_errors=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(fresh, [n for n in archive.namelist() if wanted(n, with_cuda)])
    for folder in sorted(fresh.iterdir()):
        old = destination / folder.name
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
    fresh.rmdir()


main()
