"""Stand-ins for NVIDIA's driver: its nvidia-smi, and its library."""
import subprocess

NEW = '''case $1 in
    --query-gpu=driver_version,compute_cap,name) cat "$0.gpus" ;;
    *) exit 2 ;;
esac
'''
OLD = '''case $1 in
    --query-gpu=driver_version,name) sed 's/, [^,]*,/,/' "$0.gpus" ;;
    *) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;;
esac
'''
# What MXNet needs of the library, which then finds no device (error 100).
SYMBOLS = ('cuInit', 'cuDeviceGet', 'cuDevicePrimaryCtxRetain', 'cuGetErrorString', 'cuGraphKernelNodeGetParams',
           'cuGraphNodeGetType', 'cuLaunchKernel', 'cuModuleGetFunction', 'cuModuleLoadData', 'cuModuleLoadDataEx',
           'cuModuleUnload')


def nvidia_smi(folder, gpus, script=NEW):
    """Write an nvidia-smi that knows GPUs, (driver, compute capability, name) each; OLD does not tell the second."""
    path = folder / 'nvidia-smi'
    path.write_text(f'#!/bin/sh\n{script}')
    path.chmod(0o755)
    (folder / 'nvidia-smi.gpus').write_text(''.join(', '.join(gpu) + '\n' for gpu in gpus))


def driver(folder, cuda):
    """Compile a libcuda.so.1 of a driver that knows this CUDA, such as 11080."""
    functions = ''.join(f'int {name}(void) {{ return 100; }}\n' for name in SYMBOLS)
    code = f'int cuDriverGetVersion(int *version) {{ *version = {cuda}; return 0; }}\n{functions}'
    subprocess.run(['gcc', '-shared', '-fPIC', '-x', 'c', '-', '-o', folder / 'libcuda.so.1'], input=code.encode(),
                   check=True)
