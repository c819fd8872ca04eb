"""What runs a network on frames: torch, OpenVINO, ONNX Runtime, CUDA."""
