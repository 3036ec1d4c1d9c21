"""One ONNX node run by onnxruntime, code that nobody here wrote."""

import numpy as np

SLOTS = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
}
OUTPUTS = {"LSTM": ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h"), "RNN": ("Y", "Y_h")}


def run_node(op_type, attributes, **inputs):
    """The outputs Y, Y_h (and Y_c) by name, in float32; inputs by the names of `SLOTS`."""
    import onnx
    import onnxruntime

    unknown = set(inputs) - set(SLOTS[op_type])
    assert not unknown, unknown
    arrays = {
        name: np.asarray(value, np.int32 if name == "sequence_lens" else np.float32)
        for name, value in inputs.items()
        if value is not None
    }
    names = [name if name in arrays else "" for name in SLOTS[op_type]]
    node = onnx.helper.make_node(op_type, names, OUTPUTS[op_type], **attributes)
    types = {
        np.dtype(np.float32): onnx.TensorProto.FLOAT,
        np.dtype(np.int32): onnx.TensorProto.INT32,
    }
    graph = onnx.helper.make_graph(
        [node],
        "one node",
        [
            onnx.helper.make_tensor_value_info(name, types[value.dtype], value.shape)
            for name, value in arrays.items()
        ],
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            for name in OUTPUTS[op_type]
        ],
    )
    # versions that onnxruntime loads, older than those onnx writes by itself
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(OUTPUTS[op_type], session.run(None, arrays), strict=True))
