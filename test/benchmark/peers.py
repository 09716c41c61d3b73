"""The peers' sides of the comparison, each as fast as its users get it on a CPU.

Each function takes a task (see `sides`) and returns a step: a function that does the work once, to its end, and
returns a list of arrays. Libraries are imported where they are used: no process needs two of them.
"""
from pathlib import Path

from sides import JOINTS, batch


def load_torch(task):
    """The I1 network in PyTorch with the task's parameters."""
    import torch
    from torch_net import load
    torch.set_num_threads(task.threads)
    return load(Path(task.folder) / 'network.npz', task.backbone, JOINTS, task.beta)


def torch_train(task, compiled=False):
    import torch
    from torch_net import LossNet
    net = LossNet(load_torch(task), task.sigma).train()
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    forward = torch.compile(net) if compiled else net
    images, joints, visible = map(torch.from_numpy, batch(task)[:3])

    def step():
        optimizer.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=task.dtype == 'bfloat16'):
            losses = forward(images, joints, visible)
        (losses.sum() / len(images)).backward()
        optimizer.step()
        return [losses.detach().float().numpy()]
    return step


def torch_infer(task, compiled=False):
    import torch
    net = load_torch(task).eval()
    if compiled:
        import torch._inductor.config as inductor
        from torch.nn.utils.fusion import fuse_conv_bn_eval
        inductor.freezing = True              # folds batch normalisation and packs weights
        deconvolutions = net.heads[0].deconvolutions
        for i in (0, 3):                      # there 2.13 folds it wrongly: along the inputs, where these are as many
            deconvolutions[i] = fuse_conv_bn_eval(deconvolutions[i], deconvolutions[i + 1], transpose=True)
            deconvolutions[i + 1] = torch.nn.Identity()
        net = torch.compile(net)
    images = torch.from_numpy(batch(task)[0])

    def step():
        with torch.no_grad() if compiled else torch.inference_mode():
            return [output.numpy() for output in net(images)]
    return step


def torch_eager(task):
    return KINDS[task.kind](task)


def torch_compiled(task):
    return KINDS[task.kind](task, compiled=True)


def export(task):
    """Write the network as PyTorch exports it, for batches of the task's size, to the task's `model`."""
    import torch
    net = load_torch(task).eval()
    torch.onnx.export(net, (torch.from_numpy(batch(task)[0]),), task.model, verbose=False)
    return list


def onnxruntime(task):
    """An .onnx file in ONNX Runtime: graph optimisation is at its highest by default."""
    from onnxruntime import InferenceSession, SessionOptions
    options = SessionOptions()
    options.intra_op_num_threads = task.threads
    session = InferenceSession(task.model, options, providers=['CPUExecutionProvider'])
    feed, names = {session.get_inputs()[0].name: batch(task)[0]}, [output.name for output in session.get_outputs()]
    return lambda: session.run(compared(names), feed)


def openvino(task):
    """An .onnx file in OpenVINO: one request at a time on all threads. Without the hint of its precision it chooses."""
    import openvino
    network = openvino.Core().compile_model(task.model, 'CPU', {
        'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_NUM_THREADS': task.threads,
        'INFERENCE_PRECISION_HINT': PRECISIONS[task.dtype]})
    request, images = network.create_infer_request(), batch(task)[0]
    names = compared([port.any_name for port in network.outputs])

    def step():
        outputs = request.infer([images], share_inputs=True)
        return [outputs[name] for name in names]
    return step


def compared(names):
    """Those of a file's outputs that all sides have: all of PyTorch's, two of an export of this project."""
    return ['heatmaps', 'joints'] if 'joints' in names else names


PRECISIONS = {'float32': 'f32', 'bfloat16': 'bf16'}              # OpenVINO's names
KINDS = {'train': torch_train, 'infer': torch_infer}
SIDES = {'torch eager': torch_eager, 'torch compiled': torch_compiled, 'torch export': export,
         'onnxruntime': onnxruntime, 'openvino': openvino}
